"""What moderators do to others in a call: mute and lift that, move, disconnect.

Nobody's microphone is opened by somebody else: who was muted lasts so until a moderator lifts it, and opens it himself then.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from homeserver.protocol.auth.power_levels import Level, PowerLevels
from homeserver.protocol.errors import Forbidden, InvalidParam, MatrixError, NotFound, Unavailable
from homeserver.protocol.identifiers import is_room_id
from homeserver.protocol.voice_channel import level_to_moderate, level_to_move
from homeserver.services.visibility import NOT_IN_ROOM
from homeserver.services.voice_rosters.seat import Seat
from homeserver.services.voice_rosters.silences import MUTED_BY
from voice.sfu.backend import SfuBackend, SfuUnavailable

if TYPE_CHECKING:
    from homeserver.services.requester import Requester
    from homeserver.services.rooms.live_room import LiveRoom
    from homeserver.services.rooms.room_cache import RoomCache
    from homeserver.services.voice_rosters.lasting_mutes import LastingMutes
    from homeserver.services.voice_rosters.moves import Moves
    from homeserver.services.voice_rosters.rosters import Rosters

log = logging.getLogger("voice.moderation")


@dataclass(frozen=True, slots=True)
class ModerateVoice:
    """Four verbs. Each raises Forbidden, NotFound (he is not in the call), Unavailable; each leaves a line in the log."""

    backend: SfuBackend
    cache: RoomCache
    rosters: Rosters
    moves: Moves
    mutes: LastingMutes

    async def mute(self, requester: Requester, room_id: str, user_id: str, what: str) -> None:
        """Stop what he sends of this kind, from now on and whenever he comes again, until a moderator lifts it.

        One's own other devices are only asked to be quiet. Raises InvalidParam for a kind there is not, LimitExceeded.
        """
        _check_kind(what)
        seats = await self._seats(requester, room_id, user_id, check_may_moderate)
        if requester.user_id != user_id:
            await self.mutes.put(room_id, user_id, what, requester.user_id)
        try:
            for seat in seats:
                for source in MUTED_BY[what]:
                    await self.backend.mute(*seat.key, source)
        except SfuUnavailable as error:
            raise _unavailable() from error
        log.info("%s muted the %s of %s in the call of %s", requester.user_id, what, user_id, room_id)

    async def unmute(self, requester: Requester, room_id: str, user_id: str, what: str) -> None:
        """Lift a mute; nothing happens where there is none. He need not be in the call."""
        _check_kind(what)
        check_may_lift_mutes(await self._room(room_id), requester.user_id, user_id)
        try:
            await self.mutes.lift(room_id, user_id, what)
        except SfuUnavailable as error:
            raise _unavailable() from error
        log.info("%s lets %s open the %s again in the call of %s", requester.user_id, user_id, what, room_id)

    async def disconnect(self, requester: Requester, room_id: str, user_id: str) -> None:
        """Put him out of the call; he may join again."""
        seats = await self._seats(requester, room_id, user_id, check_may_move)
        try:
            for seat in seats:
                await self.backend.remove(*seat.key)
        except SfuUnavailable as error:
            raise _unavailable() from error
        log.info("%s disconnected %s from the call of %s", requester.user_id, user_id, room_id)

    async def move(self, requester: Requester, room_id: str, user_id: str, to: str) -> None:
        """Send him to another channel, in which both of them are members; he is out of this one soon in any case."""
        seats = await self._seats(requester, room_id, user_id, check_may_move)
        await self._check_destination(requester.user_id, user_id, to)
        try:
            await self.moves.tell(requester, seats, to, "moderator")
        except SfuUnavailable as error:
            raise _unavailable() from error
        self.moves.remove_soon(seats)
        log.info("%s moved %s from the call of %s to that of %s", requester.user_id, user_id, room_id, to)

    async def _seats(
        self, requester: Requester, room_id: str, user_id: str, check: Callable[[LiveRoom, str, str], None]
    ) -> Sequence[Seat]:
        room = await self._room(room_id)
        check(room, requester.user_id, user_id)
        seats = self.rosters.seats_of(room_id, user_id)
        if not seats:
            raise NotFound(f"{user_id} is not in the call")
        return seats

    async def _check_destination(self, mover: str, moved: str, to: str) -> None:
        if not is_room_id(to):
            raise InvalidParam("`to` is not a room id")
        room = await self._room(to)
        if mover not in room.joined:
            raise Forbidden(NOT_IN_ROOM)
        if moved not in room.joined:
            raise Forbidden(f"{moved} is not a member of the other room")

    async def _room(self, room_id: str) -> LiveRoom:
        try:
            return await self.cache.get(room_id)
        except NotFound:
            raise Forbidden(NOT_IN_ROOM) from None


def check_may_moderate(room: LiveRoom, moderator: str, target: str) -> None:
    """Raises Forbidden. Everybody may moderate himself: his other devices."""
    if moderator not in room.joined:
        raise Forbidden(NOT_IN_ROOM)
    if moderator != target:
        _check_levels(room, moderator, target, level_to_moderate)


def check_may_move(room: LiveRoom, moderator: str, target: str) -> None:
    """The same for moving and disconnecting."""
    if moderator not in room.joined:
        raise Forbidden(NOT_IN_ROOM)
    if moderator != target:
        _check_levels(room, moderator, target, level_to_move)


def check_may_lift_mutes(room: LiveRoom, moderator: str, target: str) -> None:
    """The same, but one's own only where one may moderate at all. Raises Forbidden."""
    if moderator not in room.joined:
        raise Forbidden(NOT_IN_ROOM)
    _check_levels(room, moderator, target, level_to_moderate)


def _check_levels(room: LiveRoom, moderator: str, target: str, needed: Callable[[PowerLevels], Level]) -> None:
    levels = room.power_levels()
    level = levels.of_user(moderator)
    if level < needed(levels):
        raise Forbidden("You may not moderate calls in this room")
    if moderator != target and level <= levels.of_user(target):
        raise Forbidden(f"{target} has no lower power level than you")


def _check_kind(what: str) -> None:
    if what not in MUTED_BY:
        raise InvalidParam(f"What can be muted is one of {', '.join(MUTED_BY)}")


def _unavailable() -> MatrixError:
    return Unavailable("Calls do not work at the moment; try again")

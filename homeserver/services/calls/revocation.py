"""Who loses the right to a call is out of it, and who has other rights than before has them at once.

Asked after each event that may matter, when somebody enters the SFU (a LiveKit keeps no list of those who were put out),
and again every second while the SFU cannot be reached.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from homeserver.protocol.errors import Forbidden, MatrixError, NotFound, Unavailable
from homeserver.protocol.voice_channel import VOICE_CHANNEL
from homeserver.services.calls.channel_options import options_of
from homeserver.services.calls.identities import MAX_SEATS_OF_USER
from homeserver.services.calls.permissions import DECIDES
from homeserver.services.calls.tokens import CallTokens
from voice.sfu.backend import Grant, Joined, SfuBackend, SfuEvent, SfuUnavailable

if TYPE_CHECKING:
    from homeserver.services.announcer import Resolved
    from homeserver.services.calls.identities import Key, VoiceIdentities
    from homeserver.services.rooms.live_room import LiveRoom
    from homeserver.services.rooms.room_cache import RoomCache
    from homeserver.services.rooms.timeline_event import TimelineEvent
    from homeserver.storage.voice_identities import VoiceIdentity

RETRY_INTERVAL_MS: Final = 1_000

log = logging.getLogger(__name__)


@dataclass(slots=True)
class Revocation:
    """`follow_events` and `follow_sfu` are the listeners; the work is done in tasks of its own."""

    backend: SfuBackend
    cache: RoomCache
    identities: VoiceIdentities
    tokens: CallTokens
    _unsettled: set[str] = field(default_factory=set)
    """Matrix rooms of which the SFU could not be told."""
    _staying: dict[Key, VoiceIdentity] = field(default_factory=dict)
    """Those who could not be put out, though their rights are what they were."""
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)

    def follow_events(self, events: Sequence[TimelineEvent]) -> None:
        """After the commit: look again at those whom these events concern."""
        for event in events:
            if event.state_key is None or not self.identities.has_calls(event.room_id):
                continue
            if event.type != "m.room.member" or event.membership != "join":
                self._look_again(event.room_id, event.type, event.state_key)

    def follow_resolved(self, resolved: Resolved) -> None:
        """The same where state has changed otherwise."""
        if self.identities.has_calls(resolved.room_id):
            for event_type, state_key in resolved.keys:
                self._look_again(resolved.room_id, event_type, state_key)

    def _look_again(self, room_id: str, event_type: str, state_key: str) -> None:
        if event_type in DECIDES:
            self._do(self._settle_room(room_id))
        elif event_type == "m.room.member":
            self._do(self._settle_room(room_id, state_key))
        elif event_type == VOICE_CHANNEL:
            self._do(self._tell_options(room_id))

    def follow_sfu(self, event: SfuEvent) -> None:
        """Somebody came in with a token of up to an hour ago."""
        if isinstance(event, Joined):
            known = self.identities.find(event.room, event.participant.identity)
            if known is None:
                return
            if self.identities.others_of(known.key, known.user_id) >= MAX_SEATS_OF_USER:
                # Tokens are collected before they are used.
                self._do(self._put_out_or_retry(known, "has too many seats in a call"))
            else:
                self._do(self._settle_room(known.room_id, known.user_id, came_in=known.key))

    async def end_devices(self, user_id: str, device_ids: Sequence[str]) -> None:
        """These devices were logged out: whoever holds their tokens is no longer who he was."""
        for device_id in device_ids:
            for known in self.identities.of_device(user_id, device_id):
                self._do(self._put_out_or_retry(known, "logged a device out"))

    async def end_user(self, user_id: str) -> None:
        """He was locked or suspended."""
        for known in self.identities.of_user(user_id):
            self._do(self._put_out_or_retry(known, "may no longer be in calls"))

    async def retry(self) -> None:
        """Tell the SFU what it could not be told before."""
        rooms, self._unsettled = self._unsettled, set()
        staying, self._staying = self._staying, {}
        # Who has been given a token since is welcome.
        outstanding = [each for key, each in staying.items() if not self.identities.has_grant(key)]
        await asyncio.gather(
            *(self._settle_room(room_id) for room_id in rooms),
            *(self._put_out_or_retry(each) for each in outstanding),
        )

    async def stop(self) -> None:
        """No more work."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _do(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._finished)

    def _finished(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (failure := task.exception()) is not None:
            log.error("the SFU was not told what changed in a room", exc_info=failure)

    async def _settle_room(self, room_id: str, user_id: str | None = None, came_in: Key | None = None) -> None:
        """Everybody with a token for this room, or this user only, may do what he may do now.

        `came_in`: who has just come, with whatever token.
        """
        try:
            room = await self.cache.get(room_id)
        except NotFound:
            room = None
        except Unavailable:
            self._unsettled.add(room_id)
            return
        concerned = [each for each in self.identities.of_room(room_id) if user_id in (None, each.user_id)]
        done = await asyncio.gather(
            *(self._settle(room, each, each.key == came_in) for each in concerned), return_exceptions=True
        )
        for failure in done:
            if isinstance(failure, BaseException):
                self._failed(room_id, failure)

    def _failed(self, room_id: str, failure: BaseException) -> None:
        if isinstance(failure, SfuUnavailable | MatrixError):
            self._unsettled.add(room_id)
        else:
            log.error("rights in a call of %s were not settled", room_id, exc_info=failure)

    async def _settle(self, room: LiveRoom | None, known: VoiceIdentity, came_in: bool) -> None:
        grant = self._grant(room, known)
        present = self.identities.is_present(*known.key)
        # Of who is there though his tokens are void, or with a token of before, the SFU has to be told once more.
        doubtful = present and (grant is None or (came_in and self.identities.may_come_with_another(known.key)))
        if self.identities.is_granted(known.key, grant) and not doubtful:
            return
        if grant is None:
            await self._put_out(known)
            return
        if present:
            await self.backend.permit(known.sfu_room, grant)
        self.identities.note_grant(known.key, grant)

    def _grant(self, room: LiveRoom | None, known: VoiceIdentity) -> Grant | None:
        if room is None:
            return None
        try:
            rights = self.tokens.rights(room, known.user_id, known.slot_id)
        except Forbidden:
            return None
        return self.tokens.grant(known, rights)

    async def _put_out(self, known: VoiceIdentity) -> None:
        # Noted before it is awaited: a token that is made meanwhile says otherwise, and is newer.
        self.identities.note_grant(known.key, None)
        try:
            await self.backend.remove(known.sfu_room, known.identity)
        except BaseException:
            self.identities.forget_grant(known.key)
            raise

    async def _put_out_or_retry(self, known: VoiceIdentity, why: str = "") -> None:
        try:
            await self._put_out(known)
        except SfuUnavailable:
            if why:  # once, and not at each attempt
                log.warning("the SFU could not be told that %s %s", known.user_id, why)
            self._staying[known.key] = known

    async def _tell_options(self, room_id: str) -> None:
        """The channel has other settings: those of calls that are going on change too."""
        room = await self.cache.get(room_id)
        options = options_of(room, self.tokens.defaults)
        present = (each for each in self.identities.of_room(room_id) if self.identities.is_present(*each.key))
        for sfu_room in {each.sfu_room for each in present}:
            try:
                await self.backend.ensure_room(sfu_room, options)
            except SfuUnavailable:
                log.warning("the SFU could not be told the new options of a call")

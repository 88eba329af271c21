"""`services.membership.remote.RemoteRooms`: which servers are asked, in what order, and what becomes of their answers."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Protocol, TypeVar

from homeserver.federation.errors import BadAnswer
from homeserver.federation.incoming.arrivals import Arrivals
from homeserver.federation.incoming.incoming import Incoming
from homeserver.federation.single_flight import SingleFlight
from homeserver.federation.travel.joining import Joining
from homeserver.federation.travel.knocking import Knocking
from homeserver.federation.travel.leaving import Leaving
from homeserver.federation.travel.own_invitations import InviteElsewhere
from homeserver.federation.travel.refusals import first_success
from homeserver.federation.travel.stripped import encode_stripped, read_stripped
from homeserver.federation.travel.template import MemberWish
from homeserver.federation.travel.withdrawal import Withdraw
from homeserver.protocol.builder import EventDraft
from homeserver.protocol.errors import Forbidden, MatrixError
from homeserver.protocol.events import Event
from homeserver.protocol.room_versions import RoomVersion
from homeserver.services.foreign_events.outcomes import Outcome
from homeserver.services.foreign_events.room_locks import RoomLocks
from homeserver.services.membership.remote import unknown_room
from homeserver.services.membership.whereabouts import Whereabouts
from homeserver.services.rooms.live_room import LiveRoom
from homeserver.services.rooms.outside import OutsideMemberships

LEAVING_SECONDS: Final = 30
"""For all servers together; whoever declines an invitation wants to be rid of it, whether its server answers or not."""

MAX_INSISTED: Final = 2
"""Servers of one request that have just failed and are asked all the same, after the others: who comes back does not know
that somebody wants to come into a room of his.
"""

Found = TypeVar("Found")
log = logging.getLogger(__name__)


class Adopt(Protocol):
    """services/foreign_events/adopt_room.py."""

    async def __call__(
        self, room_id: str, version: RoomVersion, join: Event, state: Sequence[Event], auth_chain: Sequence[Event]
    ) -> LiveRoom: ...


@dataclass(frozen=True, slots=True)
class FederatedRooms:
    """Handshakes go on when the client that asked for them goes away: the other server may count on us already."""

    whereabouts: Whereabouts
    joining: Joining
    leaving: Leaving
    knocking: Knocking
    inviting: InviteElsewhere
    withdraw: Withdraw
    adopt: Adopt
    incoming: Incoming
    outside: OutsideMemberships
    arrivals: Arrivals
    is_left_alone: Callable[[str], bool]
    """Whether a server has just failed."""
    _running: SingleFlight[str | None] = field(default_factory=SingleFlight)
    _gates: RoomLocks = field(default_factory=RoomLocks)

    async def join(
        self, user_id: str, room_id: str, servers: Sequence[str], content: Mapping[str, Any]
    ) -> str | None:  # fmt: skip
        """One handshake at a time for a room; who waited finds it here."""

        async def come_in() -> str | None:
            async with self._gates.of(room_id):
                if await self.whereabouts.ours(user_id, room_id) is not None:
                    return None
                wish = MemberWish(room_id, user_id, content)
                return await self._first(servers, lambda each: self._enter(each, wish), wish)

        return await self._running.run(f"join {user_id} {room_id}", come_in)

    async def _enter(self, resident: str, wish: MemberWish) -> str:
        with self.arrivals.coming_into(wish.room_id):
            told = await self.joining.enter(resident, wish)
            await self.adopt(wish.room_id, told.join.room_version, told.join, told.state, told.auth_chain)
        return told.join.event_id

    async def join_vouched(
        self, user_id: str, room_id: str, servers: Sequence[str], content: Mapping[str, Any]
    ) -> str:  # fmt: skip
        """The event is one of the room's like others, and what it is built on may have to be fetched."""
        wish = MemberWish(room_id, user_id, content)
        return await self._run(wish, lambda: self._first(servers, lambda each: self._be_vouched_for(each, wish), wish))

    async def _be_vouched_for(self, resident: str, wish: MemberWish) -> str:
        join = await self.joining.be_vouched_for(resident, wish)
        (verdict,) = await self.incoming.receive(resident, wish.room_id, [join])
        if verdict.outcome is Outcome.REJECTED:
            raise BadAnswer(f"The join that the other server has signed is not allowed: {verdict.reason}")
        if verdict.outcome is Outcome.SOFT_FAILED:
            raise Forbidden(f"The room does not allow to join any more: {verdict.reason}")
        return join.event_id

    async def leave(self, user_id: str, room_id: str, servers: Sequence[str], content: Mapping[str, Any]) -> str:
        """Without the room's help the leave is an event that only we know."""
        version = await self.whereabouts.version(room_id)
        wish = MemberWish(room_id, user_id, content, version)
        return await self._run(wish, lambda: self._leave(wish, servers))

    async def _leave(self, wish: MemberWish, servers: Sequence[str]) -> str:
        try:
            async with asyncio.timeout(LEAVING_SECONDS):
                leave = await self._first(servers, lambda each: self.leaving(each, wish), wish)
        except (MatrixError, TimeoutError) as error:
            log.info("%s leaves %s without its help: %s", wish.user_id, wish.room_id, error)
            leave = await self.withdraw(wish)
        await self.outside.record(leave)
        return leave.event_id

    async def knock(self, user_id: str, room_id: str, servers: Sequence[str], content: Mapping[str, Any]) -> str:
        """What the room shows is kept for the user with the knock."""
        wish = MemberWish(room_id, user_id, content)
        return await self._run(wish, lambda: self._first(servers, lambda each: self._knock(each, wish), wish))

    async def _knock(self, resident: str, wish: MemberWish) -> str:
        knock = await self.knocking(resident, wish)
        shown = [each for each in knock.stripped if (each["type"], each["state_key"]) != knock.event.key]
        await self.outside.record(knock.event, encode_stripped(read_stripped([knock.event.pdu]) + shown))
        return knock.event.event_id

    async def invite(self, room_id: str, draft: EventDraft) -> str:
        """Signed by the invited user's server first."""
        work = f"invite {draft.sender} {draft.state_key} {room_id}"
        event_id = await self._running.run(work, lambda: self.inviting(room_id, draft))
        assert event_id is not None
        return event_id

    async def _run(self, wish: MemberWish, work: Callable[[], Awaitable[str]]) -> str:
        event_id = await self._running.run(_what(wish), work)
        assert event_id is not None
        return event_id

    async def _first(
        self, servers: Sequence[str], attempt: Callable[[str], Awaitable[Found]], wish: MemberWish
    ) -> Found:
        alone = {each for each in servers if self.is_left_alone(each)}
        ordered = [each for each in servers if each not in alone]
        ordered += [each for each in servers if each in alone][:MAX_INSISTED]
        return await first_success(ordered, attempt, what=_what(wish), nobody=unknown_room(wish.room_id))

    async def stop(self) -> None:
        """Give up what is under way."""
        await self._running.stop()

    def memory_usage(self) -> Mapping[str, int]:
        """Handshakes under way."""
        return {"handshakes": len(self._running)}


def _what(wish: MemberWish) -> str:
    return f"{wish.membership} {wish.user_id} {wish.room_id}"

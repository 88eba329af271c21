"""Builds events on a room's tip, or a whole new room, and hands them to the writer.

Building is synchronous: between reading the tip and moving it nothing else runs, so a room's events form one
line without a lock. Where another process was faster the writer says TipMoved, and the whole command is built again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Protocol

from homeserver.protocol.builder import EventDraft
from homeserver.protocol.client_event import split
from homeserver.protocol.errors import LimitExceeded, MatrixError, Unavailable
from homeserver.protocol.events import Event
from homeserver.protocol.policy_server import PolicyServer, is_checked, is_departure
from homeserver.protocol.room_versions import RoomVersion
from homeserver.protocol.signing import SigningKey
from homeserver.services.clock import Clock
from homeserver.services.foreign_events.room_locks import RoomLocks
from homeserver.services.rooms.append import Also, Append, NewEvent, TipMoved, Transaction
from homeserver.services.rooms.drafting import EventBuilder, Speculation
from homeserver.services.rooms.event_writer import EventWriter
from homeserver.services.rooms.live_room import CurrentState, LiveRoom, RoomTip
from homeserver.services.rooms.policy_servers import PolicyServers, policy_server_in
from homeserver.services.rooms.redacted_forms import RedactedForms
from homeserver.services.rooms.room_cache import RoomCache
from homeserver.services.rooms.timeline_event import TimelineEvent

if TYPE_CHECKING:
    from homeserver.storage.database import Queries

MAX_ATTEMPTS = 8
# Own events of one room that its policy server is asked about, one after the other.
MAX_ASKING = 100
RETRY_AFTER_MS = 10_000

ClaimRoomId = Callable[[str], Awaitable[int | None]]
"""Takes a room id for a new room; gives the room's number in the database, None where the id is taken."""


@dataclass(slots=True)
class Plan:
    """What one command wants to write into a room: drafts in order, and what goes with them."""

    drafts: Sequence[EventDraft]
    transaction: Transaction | None = None
    rewrite: RedactedForms | None = None
    """Stored events that the last draft, a redaction, changes."""
    also: Also | None = None


class AlsoOfRoom(Protocol):
    """More writes of the command that makes a room, in the same transaction."""

    async def __call__(self, q: Queries, room_id: str) -> None: ...


@dataclass(frozen=True, slots=True)
class Founding:
    """A new room: its first events, the create event before all others. `room_id` None: the create event's hash."""

    version: RoomVersion
    room_id: str | None
    drafts: Sequence[EventDraft]
    also: AlsoOfRoom | None = None


class Appender:
    """The one way by which this server's own events enter a room."""

    def __init__(
        self,
        cache: RoomCache,
        writer: EventWriter,
        clock: Clock,
        server_name: str,
        signing_key: SigningKey,
        policy_servers: PolicyServers | None = None,
    ) -> None:
        self._cache = cache
        self._writer = writer
        self._clock = clock
        self._server_name = server_name
        self._events = EventBuilder(clock, server_name, signing_key)
        self._policy_servers = policy_servers
        self._asking = RoomLocks()
        self._last_founding_ms = 0

    async def commit(self, room_id: str, plan: Callable[[LiveRoom], Plan]) -> list[TimelineEvent]:
        """Plan, build, check and store events; returns them committed.

        ``plan`` sees the room as it is and may refuse; it runs again if the room moved meanwhile.
        Raises Forbidden (AuthRejection) where an auth rule refuses, TooLarge, NotFound, Unavailable.
        """
        for _ in range(MAX_ATTEMPTS):
            room = await self._cache.get(room_id)
            try:
                planned = plan(room)
                if self._policy_servers is not None and _needs_recommendation(room, planned):
                    append = await self._recommended(room_id, plan)
                else:
                    append = self._submit(room, planned)
                if append is None:
                    await self._settled(room)
                    return []
                return await asyncio.shield(append.done)
            except TipMoved:
                continue
        raise Unavailable("The room is too busy, try again")

    async def _settled(self, room: LiveRoom) -> None:
        """Nothing changes: an answer that relies on what others have built waits until that is stored."""
        if room.committing is not None and room.pending:
            await asyncio.shield(room.committing)

    def _submit(self, room: LiveRoom, plan: Plan) -> Append | None:
        """Build onto this very room; None where nothing is planned. Raises TipMoved where it is no longer the current one."""
        if not plan.drafts:
            return None
        if room.retired:
            raise TipMoved
        append = self._build(room, plan)
        self._writer.submit(append)
        return append

    async def _recommended(self, room_id: str, plan: Callable[[LiveRoom], Plan]) -> Append | None:
        """The same with the signatures of the room's policy server; one at a time in each room, from the planning on.

        Raises TipMoved where others were faster, and what the policy server says against the events; LimitExceeded.
        """
        if self._asking.held_or_awaited(room_id) >= MAX_ASKING:
            raise LimitExceeded("The room's policy server is slow", retry_after_ms=RETRY_AFTER_MS)
        async with self._asking.of(room_id):
            room = await self._cache.get(room_id)
            policy_server, planned = policy_server_in(room), plan(room)
            if policy_server is None or not _needs_recommendation(room, planned):
                return self._submit(room, planned)
            if room.retired:
                raise TipMoved
            built_on = room.tip.version
            speculation = Speculation(room, room.tip)
            events = [self._events.build(speculation, draft) for draft in planned.drafts]
            events = [await self._signed(policy_server, each) for each in events]
            if room.retired or room.tip.version != built_on:
                raise TipMoved
            append = self._take_place(room, planned, speculation, events)
            self._writer.submit(append)
            return append

    async def _signed(self, policy_server: PolicyServer, new: NewEvent) -> NewEvent:
        assert self._policy_servers is not None
        event = new.event
        if not is_checked(event.type, event.state_key):
            return new
        try:
            event = await self._policy_servers.sign(policy_server, event, insist=True)
        except MatrixError:
            if is_departure(event.type, event.state_key, event.sender, event.content):
                return new
            raise
        body, envelope = split(event)
        return replace(new, event=event, body=body, envelope=envelope)

    async def build(self, room_id: str, draft: EventDraft) -> Event:
        """An event on the room's tip that is not written: others have to sign it first. The room moves on meanwhile.

        Raises Forbidden (AuthRejection), TooLarge, NotFound.
        """
        room = await self._cache.get(room_id)
        await self._settled(room)
        new = self._events.build(Speculation(room, room.tip), draft)
        policy_server = None if self._policy_servers is None else policy_server_in(room)
        return (new if policy_server is None else await self._signed(policy_server, new)).event

    async def found(self, founding: Founding, claim: ClaimRoomId) -> LiveRoom:
        """Make a room of its first events, in one commit: either all of them are there afterwards, or none.

        Raises AuthRejection where the events do not follow from each other, TooLarge, Unavailable, and whatever
        ``founding.also`` raises.
        """
        for _ in range(MAX_ATTEMPTS):
            append = self.build_founding(founding)
            room = append.room
            number = await claim(room.room_id)
            if number is None:
                continue
            room.room_nid = number
            if founding.also is not None:
                append.also = partial(founding.also, room_id=room.room_id)
            self._cache.add(room)
            self._writer.submit(append)
            await asyncio.shield(append.done)
            return room
        raise Unavailable("No free room id was found, try again")

    def build_founding(self, founding: Founding) -> Append:
        """The first events of a room that has no number in the database yet."""
        room = LiveRoom(
            room_id=founding.room_id or "",
            room_nid=0,
            version=founding.version,
            server_name=self._server_name,
            tip=RoomTip((), 0, 0),
            state=CurrentState(),
        )
        create, *others = founding.drafts
        create = replace(create, origin_server_ts=self._next_founding_ms())
        return self._build(room, Plan([create, *others]))

    def _next_founding_ms(self) -> int:
        """Since v12 the room id is the hash of the create event: two of the same millisecond would be the same room."""
        self._last_founding_ms = max(self._clock.now_ms(), self._last_founding_ms + 1)
        return self._last_founding_ms

    def _build(self, room: LiveRoom, plan: Plan) -> Append:
        speculation = Speculation(room, room.tip)
        events = [self._events.build(speculation, draft) for draft in plan.drafts]
        return self._take_place(room, plan, speculation, events)

    def _take_place(self, room: LiveRoom, plan: Plan, speculation: Speculation, events: list[NewEvent]) -> Append:
        if plan.transaction is not None:
            events[-1].transaction = plan.transaction
        # All drafts have passed: from here on nothing can refuse, and the next builder sees these events.
        built_on = room.tip.version
        tip = speculation.tip
        room.tip = RoomTip(tip.extremities, tip.depth, built_on + 1)
        room.pending_state.update(speculation.state)
        room.pending += len(events)
        if plan.rewrite is not None:
            # What is built from here on must not repeat the old content in its `prev_content`.
            room.hold_parsed(plan.rewrite.redacted)
        room.committing = asyncio.get_running_loop().create_future()
        return Append(
            room=room,
            built_on=built_on,
            new_version=built_on + 1,
            extremities=tip.extremities,
            depth=tip.depth,
            events=events,
            done=room.committing,
            rewritten=() if plan.rewrite is None else plan.rewrite(events[-1].body),
            also=plan.also,
        )


def _needs_recommendation(room: LiveRoom, plan: Plan) -> bool:
    """Whether a policy server has to be asked. What changes the policy server itself waits for none."""
    return policy_server_in(room) is not None and any(is_checked(each.type, each.state_key) for each in plan.drafts)

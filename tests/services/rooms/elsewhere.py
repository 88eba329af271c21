"""Events of other servers, handed straight to the writer: what becomes of them is said by the test, not found out.

lair = await Lair.enter(server, bob)                       # Bob has joined Mallory's room; before his join is a hole
hello = await lair.arrive(lair.room.send(MALLORY, "hello"))
await lair.check_memory()                                  # the room in memory is the one in the database
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from homeserver.protocol.client_event import split
from homeserver.protocol.events import Event, StateKey
from homeserver.protocol.relations import relation_of
from homeserver.services.awake import AwakeUsers
from homeserver.services.rooms.append import (
    Append,
    FilledGap,
    ForeignPart,
    ForkedState,
    NewEvent,
    PastEvent,
    StateChange,
)
from homeserver.services.rooms.event_writer import EventWriter
from homeserver.services.rooms.live_room import CurrentState, LiveRoom, RoomTip
from homeserver.services.rooms.room_cache import RoomCache
from homeserver.services.rooms.timeline_event import TimelineEvent
from homeserver.services.rooms.unsigned import unsigned_for_state
from homeserver.storage.memberships import Memberships
from tests.cast import Client, Server
from tests.federation.foreign_rooms import MALLORY, ForeignRoom
from tests.homeserver import SIGNING_KEY

OURS = "test"
AS_IT_IS: StateKey = ("", "")


@dataclass(slots=True)
class Lair:
    """A room of another server, and what this one has of it."""

    server: Server
    room: ForeignRoom

    @property
    def writer(self) -> EventWriter:
        writer: EventWriter = self.server.application.kernel.writer
        return writer

    @staticmethod
    async def enter(server: Server, user: Client, room: ForeignRoom | None = None) -> Lair:
        """The user joins: all state comes from elsewhere, and nothing of what was said before."""
        lair = Lair(server, room or ForeignRoom.create())
        room = lair.room
        room.keys[OURS] = SIGNING_KEY
        await lair.keep([*room.auth_chain(room.state_events()), *room.state_events()])
        state = await lair.stored([event.event_id for event in room.state_events()])
        changes = [StateChange((event.type, event.state_key or ""), event) for event in state]
        cited = list(room.tip)
        join = room.member(user.user_id, "join")
        await lair.arrive(join, changes=changes, missing=cited)
        return lair

    async def keep(self, events: Sequence[Event]) -> None:
        """As outliers."""
        await self.server.application.foreign.store_outliers(self.room.room_id, self.room.version, events)

    async def stored(self, event_ids: Collection[str]) -> list[TimelineEvent]:
        """Stored events, outliers too."""
        rows = await self.server.application.base.database.fetch(
            "SELECT event_nid, position, room_nid, event_id, type, state_key, sender, origin_server_ts, depth, flags, body,"
            " unsigned FROM events WHERE event_id = ANY($1::text[]) ORDER BY event_nid",
            list(event_ids),
        )
        return [
            TimelineEvent(
                event_nid=row[0], position=row[0] if row[1] is None else row[1], room_nid=row[2], room_id=self.room.room_id,
                event_id=row[3], type=row[4], state_key=row[5], sender=row[6], origin_server_ts=row[7], depth=row[8],
                flags=row[9], body=row[10], unsigned=row[11],
            )
            for row in rows
        ]  # fmt: skip

    async def live(self) -> LiveRoom:
        """The room in memory; a new one where this server was never in it."""
        cache: RoomCache = self.server.application.base.cache
        found = cache.peek(self.room.room_id)
        if found is not None:
            return found
        database = self.server.application.base.database
        row = await database.fetchrow("SELECT room_nid, tip_version FROM rooms WHERE room_id = $1", self.room.room_id)
        if row["tip_version"]:
            return await cache.get(self.room.room_id)
        live = LiveRoom(
            room_id=self.room.room_id, room_nid=row["room_nid"], version=self.room.version, server_name=OURS,
            tip=RoomTip((), 0, 0), state=CurrentState(),
        )  # fmt: skip
        cache.add(live)
        return live

    async def arrive(self, *events: Event, self_key: StateKey | None = AS_IT_IS, **foreign: Any) -> TimelineEvent:
        """Write events; `foreign` is said of the last one. Returns what became of that."""
        live = await self.live()
        written = [self._new(live, event, ForeignPart(self_key=_own_key(event))) for event in events[:-1]]
        last = events[-1]
        own_key = _own_key(last) if self_key == AS_IT_IS else self_key
        written.append(self._new(live, last, ForeignPart(self_key=own_key, **foreign)))
        append = Append(
            room=live,
            built_on=live.tip.version,
            new_version=live.tip.version + 1,
            extremities=tuple(self.room.tip),
            depth=last.depth,
            events=written,
            done=asyncio.get_running_loop().create_future(),
            resolved={
                change.key: None if change.event is None else live.parsed(change.event)
                for change in foreign.get("changes", ())
                if not isinstance(change.event, str) and change.key != own_key
            },
        )
        live.tip = RoomTip(append.extremities, append.depth, append.new_version)
        live.pending += len(written)
        live.pending_state.update(append.resolved)
        live.pending_state.update(
            (new.foreign.self_key, new.event) for new in written if new.foreign is not None and new.foreign.self_key
        )
        self.writer.submit(append)
        return (await append.done)[-1]

    def _new(self, live: LiveRoom, event: Event, foreign: ForeignPart) -> NewEvent:
        replaced = None if event.state_key is None else live.fetch_auth_event(*event.key)
        for change in foreign.changes:
            if change.key == foreign.self_key and isinstance(change.event, TimelineEvent):
                replaced = live.parsed(change.event)
        unsigned = None if replaced is None or foreign.self_key is None else unsigned_for_state(replaced)
        return NewEvent(event, *split(event), unsigned=unsigned, relation=relation_of(event.content), foreign=foreign)

    async def fill(self, events: Sequence[Event], missing: Sequence[str], **changes: Any) -> FilledGap:
        """Put these, oldest first, below the top of the only gap."""
        live = await self.live()
        (gap,) = live.gaps
        stored = {event.event_id: event.event_nid for event in await self.stored([event.event_id for event in events])}
        low = gap.high - len(events)
        past = [
            PastEvent(event, *split(event), place=low + number, stored_nid=stored.get(event.event_id))
            for number, event in enumerate(events)
        ]
        filled = FilledGap(gap, past, low, missing, **changes)
        await self.writer.fill(live, filled)
        return filled

    async def check_memory(self) -> None:
        """The room in memory is what the database has, and so are the memberships of those who are awake."""
        base = self.server.application.base
        live = await self.live()
        fresh = await RoomCache(base.database, base.rooms, base.events, OURS).get(self.room.room_id)
        assert _entries(live) == _entries(fresh)
        for name in ("joined", "joined_local", "invited", "servers", "gaps"):
            assert getattr(live, name) == getattr(fresh, name), name
        assert fresh.emptied <= live.emptied
        assert live.tip.extremities == fresh.tip.extremities
        count, weight = live.state.count, live.state.weight
        assert (count, weight) == (len(list(live.state)), sum(event.weight for event in live.state))
        for user_id in fresh.joined_local:
            awake: AwakeUsers = base.awake
            if awake.is_awake(user_id):
                assert (await awake.get(user_id)).rooms == await Memberships().of_user(base.database, user_id)


def _own_key(event: Event) -> StateKey | None:
    return None if event.state_key is None else event.key


def _entries(room: LiveRoom) -> dict[StateKey, tuple[str, int]]:
    return {(event.type, event.state_key or ""): (event.event_id, event.position) for event in room.state}


def forked(base_position: int | None = None, instead: Sequence[Any] = (), without: Sequence[Any] = ()) -> ForkedState:
    """A row of `forked_states`."""
    return ForkedState(base_position, instead, without)


__all__ = ["MALLORY", "OURS", "Lair", "forked"]

"""What is known of one room, without a database: stands for `services/foreign_events` where only the asking is looked at."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

from homeserver.protocol.errors import NotFound
from homeserver.protocol.events import Event
from homeserver.services.foreign_events.outcomes import Arrival, Outcome, Standing, Verdict
from homeserver.storage.pdus import EventMark
from tests.federation.foreign_rooms import ForeignRoom


@dataclass(slots=True)
class RoomMemory:
    """Is `RoomCache`, `Standings`, `StoreOutliers`, `ReceiveEvents` and `Pdus` at once. Everything is allowed here, but what
    breaks the promises that are made to `ReceiveEvents` fails the test.
    """

    room: Any
    standings: dict[str, Standing] = field(default_factory=dict)
    events: dict[str, Event] = field(default_factory=dict)
    arrived: list[list[Arrival]] = field(default_factory=list)
    statements: int = 0

    @staticmethod
    def of(room: ForeignRoom, known: Collection[Event]) -> RoomMemory:
        """We are in the room, and these are in the timeline here; the last is the tip."""
        create = next(each for each in known if each.type == "m.room.create")
        live = SimpleNamespace(
            room_id=room.room_id,
            room_nid=1,
            version=room.version,
            joined_local={"@alice:us.example"},
            state={"m.room.create": create},
            tip=SimpleNamespace(extremities=(list(known)[-1].event_id,)),
        )
        memory = RoomMemory(live)
        for event in known:
            memory.events[event.event_id] = event
            memory.standings[event.event_id] = Standing.IN_TIMELINE
        return memory

    # RoomCache
    async def get(self, room_id: str) -> Any:
        if room_id != self.room.room_id:
            raise NotFound(room_id)
        return self.room

    # Standings
    async def ask(self, event_ids: Collection[str]) -> dict[str, Standing]:
        self.statements += 1
        return {each: self.standings[each] for each in event_ids if each in self.standings}

    # Pdus
    async def marks(self, q: object, event_ids: Collection[str]) -> dict[str, EventMark]:
        self.statements += 1
        found = (self.events[each] for each in event_ids if each in self.events)
        return {
            event.event_id: EventMark(event.event_id, 1, 1, None, 0, event.type, event.state_key) for event in found
        }

    # StoreOutliers
    async def store(self, room_id: str, version: object, events: Sequence[Event]) -> list[Verdict]:
        there = {*self.standings, *(event.event_id for event in events)}
        for event in events:
            if there.issuperset(event.auth_event_ids):
                self.events[event.event_id] = event
                self.standings.setdefault(event.event_id, Standing.OUTLIER)
        return [Verdict(event.event_id, Outcome.OUTLIER) for event in events]

    # ReceiveEvents
    async def accept(self, room_id: str, arrivals: Sequence[Arrival]) -> list[Verdict]:
        self.arrived.append(list(arrivals))
        for arrival in arrivals:
            event = arrival.event
            told = {each.after_event_id for each in arrival.told}
            for prev in event.prev_event_ids:
                assert prev in told or self.standings.get(prev) is Standing.IN_TIMELINE, "a prev event is missing"
            assert self.standings.keys() >= set(event.auth_event_ids), "an auth event is missing"
            for each in arrival.told:
                assert self.standings.keys() >= set(each.state.values()), "a told state is not stored"
            self.standings[event.event_id] = Standing.IN_TIMELINE
            self.events[event.event_id] = event
        return [Verdict(each.event.event_id, Outcome.ACCEPTED) for each in arrivals]

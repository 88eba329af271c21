"""The part of a homeserver that takes events of others, over a real database: no HTTP, no federation.

house = await open_house(database, clock)
await house.adopt(room, "@bob:ours.example")        # `room`: tests/federation/foreign_rooms.py
await house.receive(room, event)
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from homeserver.composition.foreign_events import ForeignServices, build_foreign_events
from homeserver.composition.foundation import Foundation, build_foundation
from homeserver.composition.kernel import Kernel, build_kernel
from homeserver.protocol.builder import EventDraft
from homeserver.protocol.events import Event, StateKey
from homeserver.protocol.signing import SigningKey
from homeserver.services.foreign_events.outcomes import Arrival, Outcome, ToldState, Verdict
from homeserver.services.rooms.append import Notification
from homeserver.services.rooms.appender import Plan
from homeserver.services.rooms.live_room import LiveRoom
from homeserver.services.rooms.timeline_event import TimelineEvent
from homeserver.storage.database import Database
from tests.clock import FakeClock
from tests.federation.foreign_rooms import ForeignRoom
from tests.federation.peers import signing_key

OURS = "ours.example"
BOB = "@bob:ours.example"


class Silence:
    """Nobody is notified."""

    async def evaluate(self, room: LiveRoom, event: Event) -> Notification:
        return Notification()


@dataclass(slots=True)
class House:
    """`key`: that of our server, with which scripted rooms sign for our users."""

    base: Foundation
    kernel: Kernel
    foreign: ForeignServices
    key: SigningKey

    async def adopt(self, room: ForeignRoom, user_id: str = BOB) -> LiveRoom:
        """One of our users joins; afterwards the scripted room has the join, too."""
        room.keys.setdefault(OURS, self.key)
        state = room.state_events()
        join = room.build(user_id, "m.room.member", {"membership": "join"}, user_id)
        live = await self.foreign.adopt(room.room_id, room.version, join, state, room.auth_chain([*state, join]))
        room.add(join)
        return live

    async def receive(self, room: ForeignRoom, *events: Event | Arrival) -> list[Verdict]:
        """In one call."""
        arrivals = [each if isinstance(each, Arrival) else Arrival(each) for each in events]
        return await self.foreign.receive(room.room_id, arrivals)

    async def outcomes(self, room: ForeignRoom, *events: Event | Arrival) -> list[Outcome]:
        return [verdict.outcome for verdict in await self.receive(room, *events)]

    async def send(
        self, room_id: str, user_id: str, event_type: str, content: dict[str, object], state_key: str | None = None
    ) -> TimelineEvent:
        """One of our users does something."""
        draft = EventDraft(event_type, user_id, content, state_key)
        return (await self.kernel.appender.commit(room_id, lambda room: Plan([draft])))[-1]

    async def state(self, room_id: str) -> dict[StateKey, str]:
        """In force now, as memory has it."""
        room = await self.base.cache.get(room_id)
        return {(event.type, event.state_key or ""): event.event_id for event in room.state}

    async def stored_state(self, room_id: str) -> dict[StateKey, str]:
        """In force now, as the database has it."""
        rows = await self.base.database.fetch(
            "SELECT c.type, c.state_key, e.event_id FROM current_state c JOIN events e USING (event_nid)"
            " JOIN rooms r ON r.room_nid = c.room_nid WHERE r.room_id = $1",
            room_id,
        )
        return {(row[0], row[1]): row[2] for row in rows}

    async def timeline(self, room_id: str) -> list[str]:
        rows = await self.base.database.fetch(
            "SELECT event_id FROM events JOIN rooms USING (room_nid)"
            " WHERE room_id = $1 AND position IS NOT NULL ORDER BY position",
            room_id,
        )
        return [row[0] for row in rows]

    async def before(self, room_id: str, event_id: str) -> dict[StateKey, str]:
        return await self.foreign.states.before(await self.base.cache.get(room_id), event_id)

    async def after(self, room_id: str, event_id: str) -> dict[StateKey, str]:
        return await self.foreign.states.after(await self.base.cache.get(room_id), event_id)

    async def forget_rooms(self) -> None:
        """What is in memory is loaded from the database again."""
        for room_id in list(self.base.cache._live):
            room = self.base.cache.peek(room_id)
            if room is not None:
                self.base.cache.retire(room)
        self.foreign.states._cached.clear()


async def open_house(database: Database, clock: FakeClock, seed: int = 7) -> House:
    key = signing_key(seed)
    base = build_foundation(OURS, database, clock)
    kernel = build_kernel(base, Silence(), key)
    house = House(base, kernel, build_foreign_events(base, kernel), key)
    await kernel.writer.start()
    return house


async def close_house(house: House) -> None:
    await asyncio.wait_for(house.kernel.writer.stop(), 10)


def told(room: ForeignRoom, *after: str) -> tuple[ToldState, ...]:
    """The states after these events, as the scripted room has them."""
    return tuple(ToldState(event_id, dict(room.states[event_id])) for event_id in after)


def ids(events: Iterable[Event] | Sequence[Event]) -> list[str]:
    return [event.event_id for event in events]

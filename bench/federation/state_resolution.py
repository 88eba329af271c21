"""A large room: coming into it, and resolving a long fork of it.

    python -m bench.federation.state_resolution [members] [length of the fork]

A room of another server with so many members is adopted. Then two sides write apart: on ours the line goes on, on theirs
a chain of state events (topics, kicks, power levels, new members) grows from before it, and arrives in transactions of 50.
Every one of these events is a fork; the state after the two tips is resolved for each of those that are state.
Last, the plain algorithm over whole states, beside the one over differences.
"""

from __future__ import annotations

import asyncio
import resource
import statistics
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from homeserver.protocol.events import Event
from homeserver.protocol.state_res import KnownAuth, find_conflict, resolve
from homeserver.storage.database import Database
from homeserver.storage.pool import PoolLimits
from tests.clock import FakeClock
from tests.federation.foreign_rooms import MALLORY, ForeignRoom
from tests.postgres import running_server
from tests.services.foreign_events.houses import BOB, OURS, House, close_house, open_house

VERSION = "10"


class Course:
    """One side of the fork: a line of events, and the state at its end. `ForeignRoom.add` resolves, which is slow here."""

    def __init__(self, room: ForeignRoom, state: dict[tuple[str, str], str], tip: str) -> None:
        self.room, self.state, self.tip = room, dict(state), tip
        self.events: list[Event] = []

    def set(self, sender: str, event_type: str, content: dict[str, object], state_key: str) -> None:
        self.room.states[self.tip] = self.state
        event = self.room.build(sender, event_type, content, state_key, prev=[self.tip])
        self.state[event.key] = event.event_id
        self.room.events[event.event_id] = event
        self.events.append(event)
        self.tip = event.event_id


def member(course: Course, number: int, membership: str = "join", by: str | None = None) -> None:
    user_id = f"@user{number}:peer.example"
    course.set(by or user_id, "m.room.member", {"membership": membership, "displayname": f"User {number}"}, user_id)


def busy(course: Course, length: int, members: int) -> None:
    """What people do to the state of a room."""
    for number in range(length):
        match number % 5:
            case 0:
                course.set(MALLORY, "m.room.topic", {"topic": f"{course.tip} {number}"}, "")
            case 1:
                member(course, number % members, "leave", by=MALLORY)
            case 2:
                levels = {"users": {MALLORY: 100, f"@user{number % members}:peer.example": 50}}
                course.set(MALLORY, "m.room.power_levels", levels, "")
            case _:
                member(course, members + number + (100_000 if course.room.now_ms % 2 else 0))


@asynccontextmanager
async def watching(house: House, name: str, per: int = 1) -> AsyncIterator[None]:
    """Seconds, statements, memory, and for how long nobody else could run."""
    lags: list[float] = []

    async def watch() -> None:
        while True:
            started = time.perf_counter()
            await asyncio.sleep(0.002)
            lags.append(time.perf_counter() - started - 0.002)

    watcher = asyncio.create_task(watch())
    await asyncio.sleep(0.01)
    before, statements = resource.getrusage(resource.RUSAGE_SELF), house.base.database.statements
    started = time.perf_counter()
    yield
    seconds, after = time.perf_counter() - started, resource.getrusage(resource.RUSAGE_SELF)
    watcher.cancel()
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    print(
        f"{name}: {seconds * 1000 / per:.1f} ms, CPU {cpu * 1000 / per:.1f} ms,"
        f" {(house.base.database.statements - statements) / per:.1f} statements,"
        f" others waited {max(lags, default=0) * 1000:.0f} ms at most, +{(after.ru_maxrss - before.ru_maxrss) >> 10} MiB"
    )


async def run(dsn: str, members: int, length: int) -> None:
    database = Database(dsn, PoolLimits(max_connections=5))
    house = await open_house(database, FakeClock())
    room = ForeignRoom.create(VERSION)
    room.keys[OURS] = house.key
    crowd = Course(room, room.state, room.tip[0])
    for number in range(members):
        member(crowd, number)
    crowd.set(BOB, "m.room.member", {"membership": "join"}, BOB)
    join = crowd.events[-1]
    state = [room.events[each] for key, each in crowd.state.items() if key != join.key]
    chain = room.auth_chain([*state, join])
    async with watching(house, f"adopting a room of {members} members"):
        await house.foreign.adopt(room.room_id, room.version, join, state, chain)

    ours, theirs = (Course(room, crowd.state, join.event_id) for _ in range(2))
    busy(ours, length, members)
    room.now_ms += 1
    busy(theirs, length, members)
    parts = [ours.events[start : start + 50] for start in range(0, length, 50)]
    async with watching(house, f"{length} state events on the line, each transaction of 50", len(parts)):
        for part in parts:
            await house.receive(room, *part)
    parts = [theirs.events[start : start + 50] for start in range(0, length, 50)]
    for index, part in enumerate((parts[0], parts[1], parts[-1])):
        if index == 2:
            async with watching(house, f"transactions 3 to {len(parts) - 1} of the fork, each", len(parts) - 3):
                for each in parts[2:-1]:
                    await house.receive(room, *each)
        async with watching(house, f"transaction {(1, 2, len(parts))[index]} of the fork, 50 state events"):
            await house.receive(room, *part)
    await house.forget_rooms()
    async with watching(house, "the room loaded again"):
        await house.base.cache.get(room.room_id)
    bytes_of_forks = await database.fetchval("SELECT pg_total_relation_size('forked_states')")
    print(f"rows of forks: {bytes_of_forks / (2 * length):.0f} bytes an event")
    plain(room, crowd, ours, theirs)
    live = await house.base.cache.get(room.room_id)
    held = {(event.type, event.state_key or ""): event.event_id for event in live.state}
    assert held == resolve(room.version, [ours.state, theirs.state], None, room.events.get)
    await close_house(house)
    await database.close()


def plain(room: ForeignRoom, crowd: Course, ours: Course, theirs: Course) -> None:
    """The two algorithms on the two ends of the fork, nothing else."""
    auth = KnownAuth()
    for event in room.events.values():
        if event.state_key is not None:
            auth.add(event.event_id, event.key, event.auth_event_ids)
    overlays = [
        {key: each for key, each in side.state.items() if crowd.state.get(key) != each} for side in (ours, theirs)
    ]
    timed("plain resolution", lambda: resolve(room.version, [ours.state, theirs.state], None, room.events.get))
    timed(
        "resolution over differences",
        lambda: find_conflict(room.version, overlays, crowd.state.get, auth).settle(room.events.get, frozenset()),
    )


def timed(name: str, action: Callable[[], object]) -> None:
    times = []
    for _ in range(5):
        started = time.perf_counter()
        action()
        times.append(time.perf_counter() - started)
    print(f"{name}: {statistics.median(times) * 1000:.1f} ms")


def main() -> None:
    members, length = (int(each) for each in sys.argv[1:3]) if len(sys.argv) > 2 else (20_000, 1_000)
    with running_server() as server:
        name = asyncio.run(server.clone())
        asyncio.run(run(server.dsn_of(name), members, length))


if __name__ == "__main__":
    main()

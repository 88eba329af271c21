"""Two servers that receive the same events, each in an order of its own, agree about the room (issue 4)."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import count

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from homeserver.protocol.auth import AuthRejection, check_state_dependent
from homeserver.protocol.events import Event, StateKey
from homeserver.services.foreign_events.outcomes import Outcome
from homeserver.storage.database import Database
from homeserver.storage.pool import PoolLimits
from tests.clock import FakeClock
from tests.federation.foreign_rooms import MALLORY, ForeignRoom
from tests.postgres import TestServer
from tests.services.foreign_events.houses import House, close_house, open_house

ALICE, CAROL, DAN = "@alice:peer.example", "@carol:peer.example", "@dan:peer.example"
USERS = (MALLORY, ALICE, CAROL, DAN)
EXAMPLES = 30
Make = Callable[[ForeignRoom, str, str, list[str], int], Event]


def member(membership: str) -> Make:
    return lambda room, by, target, prev, at_ms: room.build(
        by, "m.room.member", {"membership": membership}, target, prev=prev, at_ms=at_ms
    )


def levels(level: int) -> Make:
    def make(room: ForeignRoom, by: str, target: str, prev: list[str], at_ms: int) -> Event:
        held = room.state_before(prev)["m.room.power_levels", ""]
        content = room.events[held].content
        users = {**content["users"], target: level}
        return room.build(by, "m.room.power_levels", {**content, "users": users}, "", prev=prev, at_ms=at_ms)

    return make


def state(event_type: str, content: dict[str, object]) -> Make:
    return lambda room, by, target, prev, at_ms: room.build(
        by, event_type, {**content, "by": by}, "", prev=prev, at_ms=at_ms
    )


def message(room: ForeignRoom, by: str, target: str, prev: list[str], at_ms: int) -> Event:
    return room.build(by, "m.room.message", {"body": target}, prev=prev, at_ms=at_ms)


MAKES = (
    *map(member, ("join", "leave", "ban", "invite")),
    *map(levels, (0, 50, 100)),
    state("m.room.join_rules", {"join_rule": "public"}),
    state("m.room.join_rules", {"join_rule": "invite"}),
    state("m.room.topic", {"topic": "t"}),
    message,
)


@dataclass(frozen=True, slots=True)
class Step:
    """`behind`: how many events back its prev events are looked for."""

    make: Make
    by: str
    target: str
    behind: tuple[int, ...]
    at: int


STEPS = st.builds(
    Step,
    st.sampled_from(MAKES),
    st.sampled_from(USERS),
    st.sampled_from(USERS),
    st.lists(st.integers(1, 6), min_size=1, max_size=3).map(tuple),
    st.integers(0, 20),
)


@dataclass(frozen=True, slots=True)
class Knows:
    """What a server says of a room in the end."""

    before: dict[str, dict[StateKey, str]]
    extremities: set[str]
    state: dict[StateKey, str]


def grown(version: str, steps: list[Step], name: str) -> tuple[ForeignRoom, list[Event]]:
    """A room in which everybody does what the rules allow where he does it, time running as it likes."""
    room = ForeignRoom.create(version, name=name)
    for user in (ALICE, CAROL):
        room.member(user, "join")
    room.set(
        MALLORY, "m.room.power_levels", {**_levels(room), "users": {**_levels(room)["users"], ALICE: 100, CAROL: 50}}
    )
    beginning = len(room.events)
    for step in steps:
        ids = list(room.events)
        prev = list(dict.fromkeys(ids[max(beginning - 1, len(ids) - behind)] for behind in step.behind))
        event = step.make(room, step.by, step.target, prev, room.now_ms + 1000 * step.at)
        if _allowed(room, event):
            room.add(event)
    return room, list(room.events.values())[beginning:]


def _levels(room: ForeignRoom) -> dict[str, object]:
    return room.events[room.state["m.room.power_levels", ""]].content


def _allowed(room: ForeignRoom, event: Event) -> bool:
    held = room.state_before(event.prev_event_ids)
    try:
        check_state_dependent(event, room.version, lambda *key: room.events[held[key]] if key in held else None)
    except AuthRejection:
        return False
    return event.event_id not in room.events


def shuffled(events: list[Event], order: random.Random) -> list[Event]:
    """An order in which no event comes before those it is built on."""
    left, done, result = list(events), set(), []
    waiting = {event.event_id for event in events}
    while left:
        ready = [event for event in left if not (waiting & set(event.prev_event_ids)) - done]
        event = order.choice(ready)
        left.remove(event)
        done.add(event.event_id)
        result.append(event)
    return result


async def feed(house: House, seed: int, room: ForeignRoom, events: list[Event]) -> Knows:
    """What a server knows that joined before all this and then received it in the order and the parts of the seed."""
    order = random.Random(seed)
    await enter_before(house, room, events)
    arriving = shuffled(events, order)
    while arriving:
        part = arriving[: order.randint(1, 5)]
        outcomes = await house.outcomes(room, *part)
        assert set(outcomes) <= {Outcome.ACCEPTED, Outcome.SOFT_FAILED}, outcomes
        arriving = arriving[len(part) :]
    return await known(house, room, events)


async def enter_before(house: House, room: ForeignRoom, events: list[Event]) -> None:
    """The server has the room as it was before; Mallory sends for it, so that all have the same events."""
    first = next(iter(events), None)
    tip = list(room.tip) if first is None else None
    before = [event for event in room.events.values() if event not in events]
    last = before[-1]
    held = room.state_before(last.prev_event_ids)
    state_events = [room.events[each] for each in held.values()]
    assert tip is None or tip == [last.event_id]
    await house.foreign.adopt(room.room_id, room.version, last, state_events, room.auth_chain([*state_events, last]))


async def known(house: House, room: ForeignRoom, events: list[Event]) -> Knows:
    """Memory, database and the plain resolution over the whole graph say the same."""
    before = {event.event_id: await house.before(room.room_id, event.event_id) for event in events}
    assert before == {event.event_id: room.state_before(event.prev_event_ids) for event in events}
    live = await house.base.cache.get(room.room_id)
    state = await house.state(room.room_id)
    assert state == await house.stored_state(room.room_id) == room.state_before(live.tip.extremities)
    return Knows(before, set(live.tip.extremities), state)


@pytest.fixture
def two_databases(postgres_server: TestServer) -> Iterator[list[str]]:
    names = [asyncio.run(postgres_server.clone()) for _ in range(2)]
    yield [postgres_server.dsn_of(name) for name in names]
    for name in names:
        asyncio.run(postgres_server.drop(name))


@pytest.mark.parametrize("version", ["1", "2", "10", "12"])
def test_servers_agree_about_every_event(two_databases: list[str], version: str) -> None:
    """About the state before each, whatever came first; and the room's state is that after the extremities."""
    number = count()

    @given(st.lists(STEPS, min_size=1, max_size=24), st.integers(0, 2**16), st.integers(0, 2**16))
    @settings(max_examples=EXAMPLES, derandomize=True, deadline=None, suppress_health_check=list(HealthCheck))
    def check(steps: list[Step], one: int, other: int) -> None:
        room, events = grown(version, steps, f"r{next(number)}")
        knows = [runner.run(feed(house, seed, room, events)) for house, seed in zip(houses, (one, other), strict=True)]
        assert knows[0].before == knows[1].before
        if knows[0].extremities == knows[1].extremities:
            assert knows[0].state == knows[1].state

    with asyncio.Runner() as runner:
        databases = [Database(dsn, PoolLimits(max_connections=3)) for dsn in two_databases]
        houses = [runner.run(open_house(database, FakeClock(), seed=9)) for database in databases]
        try:
            check()
        finally:
            for house, database in zip(houses, databases, strict=True):
                runner.run(close_house(house))
                runner.run(database.close())

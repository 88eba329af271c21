"""History from before our time, and from while we were away, comes into its place."""

from __future__ import annotations

import random

import pytest

from homeserver.protocol.events import Event
from homeserver.services.foreign_events.outcomes import Arrival, Outcome, ToldState
from homeserver.storage.database import Database
from tests.federation.foreign_rooms import MALLORY, ForeignRoom
from tests.services.foreign_events.houses import House, told
from tests.services.foreign_events.test_any_order import MAKES, USERS, Step, grown

ALICE = "@alice:peer.example"
VERSIONS = ("1", "2", "10", "12")


async def gap_of(house: House, room_id: str) -> tuple[int, tuple[str, ...]]:
    live = await house.base.cache.get(room_id)
    assert len(live.gaps) == 1
    return live.gaps[0].high, live.gaps[0].missing


async def fill(house: House, room: ForeignRoom, limit: int) -> list[Outcome]:
    """Ask for some events before the gap, as /backfill gives them, and the states before the oldest of them."""
    high, missing = await gap_of(house, room.room_id)
    events = room.back_from(missing, limit)
    ids = {event.event_id for event in events}
    outside = {each for event in events for each in event.prev_event_ids} - ids
    states = [ToldState(each, room.states[each]) for each in outside]
    state_events = [room.events[each] for state in states for each in state.state.values()]
    auth = {each.event_id: each for each in [*room.auth_chain([*events, *state_events]), *state_events]}
    await house.foreign.store_outliers(room.room_id, room.version, list(auth.values()))
    live = await house.base.cache.get(room.room_id)
    verdicts = await house.foreign.fill(live, high, events, states)
    return [verdict.outcome for verdict in verdicts]


async def check_states(house: House, room: ForeignRoom) -> None:
    """Before every event of the timeline the state is what the graph says, and now what it was."""
    timeline = await house.timeline(room.room_id)
    for event_id in timeline:
        event = room.events[event_id]
        assert await house.before(room.room_id, event_id) == room.state_before(event.prev_event_ids), event
    state = await house.state(room.room_id)
    assert state == room.state == await house.stored_state(room.room_id)
    await house.forget_rooms()
    assert await house.state(room.room_id) == state


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("limit", [2, 100])
async def test_all_history_before_a_join_can_be_fetched(house: House, version: str, limit: int) -> None:
    room = ForeignRoom.create(version)
    room.member(ALICE, "join")
    room.set(MALLORY, "m.room.topic", {"topic": "one"})
    room.send(ALICE, "before your time")
    room.set(MALLORY, "m.room.topic", {"topic": "two"})
    room.member(ALICE, "leave")
    room.member(ALICE, "join")
    history = list(room.events)
    live = await house.adopt(room)
    after = room.send(ALICE, "in your time")
    assert await house.outcomes(room, after) == [Outcome.ACCEPTED]
    while live.gaps:
        outcomes = await fill(house, room, limit)
        assert set(outcomes) == {Outcome.ACCEPTED}
        live = await house.base.cache.get(room.room_id)
    assert await house.timeline(room.room_id) == list(room.events)
    assert (await house.timeline(room.room_id))[: len(history)] == history
    await check_states(house, room)


async def test_an_outage_is_filled_up_to_what_we_had(house: House) -> None:
    room = ForeignRoom.create("10")
    room.member(ALICE, "join")
    await house.adopt(room)
    known = room.send(ALICE, "heard")
    assert await house.outcomes(room, known) == [Outcome.ACCEPTED]
    room.set(MALLORY, "m.room.topic", {"topic": "while you were away"})
    missed = room.send(ALICE, "nobody hears me")
    back = room.send(ALICE, "there you are")
    state = room.state_events([missed.event_id])
    await house.foreign.store_outliers(room.room_id, room.version, [*room.auth_chain(state), *state])
    arrival = Arrival(back, told(room, missed.event_id))
    assert await house.outcomes(room, arrival) == [Outcome.ACCEPTED]
    assert (await house.state(room.room_id))["m.room.topic", ""] == room.state["m.room.topic", ""]
    live = await house.base.cache.get(room.room_id)
    assert len(live.gaps) == 2
    newest = max(gap.high for gap in live.gaps)
    events = room.back_from([missed.event_id], 2)
    verdicts = await house.foreign.fill(live, newest, events, [])
    assert [verdict.outcome for verdict in verdicts] == [Outcome.ACCEPTED] * 2
    oldest = min(gap.high for gap in live.gaps)
    assert [gap.high for gap in (await house.base.cache.get(room.room_id)).gaps] == [oldest]
    assert (await house.timeline(room.room_id))[-4:] == list(room.events)[-4:]
    for event in list(room.events.values())[-4:]:
        assert await house.before(room.room_id, event.event_id) == room.state_before(event.prev_event_ids)


async def test_what_is_not_part_of_the_gap_or_forbidden_stays_out(house: House) -> None:
    room = ForeignRoom.create("10")
    room.member(ALICE, "join")
    hello = room.send(ALICE, "hello")
    false = room.build(ALICE, "m.room.topic", {"topic": "mine"}, "")
    room.events[false.event_id] = false
    room.states[false.event_id] = room.state
    room.tip = [false.event_id]
    live = await house.adopt(room)
    aside = room.build(ALICE, "m.room.message", {"body": "never happened"}, prev=[hello.event_id])
    high, missing = await gap_of(house, room.room_id)
    assert missing == (false.event_id,)
    history = [event for event in room.events.values() if event.event_id != room.tip[0]]
    verdicts = await house.foreign.fill(live, high, [aside, *history], [])
    outcomes = {verdict.event_id: verdict.outcome for verdict in verdicts}
    assert outcomes[aside.event_id] is Outcome.REJECTED
    assert outcomes[false.event_id] is Outcome.REJECTED
    assert outcomes[hello.event_id] is Outcome.ACCEPTED
    timeline = await house.timeline(room.room_id)
    assert aside.event_id not in timeline
    assert false.event_id not in timeline
    assert await house.foreign.standings([aside.event_id]) == {}
    assert not (await house.base.cache.get(room.room_id)).gaps
    assert [v.outcome for v in await house.foreign.fill(live, high, [aside], [])] == [Outcome.KNOWN]


async def test_history_that_was_redacted_since_comes_redacted(house: House) -> None:
    room = ForeignRoom.create("10")
    room.member(ALICE, "join")
    spoken = room.send(ALICE, "regretted")
    await house.adopt(room)
    redaction = room.add(room.build(ALICE, "m.room.redaction", {}, redacts=spoken.event_id))
    assert await house.outcomes(room, redaction) == [Outcome.ACCEPTED]
    while (await house.base.cache.get(room.room_id)).gaps:
        await fill(house, room, 3)
    pdu = (await house.foreign.pdus.pdus([spoken.event_id]))[spoken.event_id]
    assert pdu["content"] == {}


@pytest.mark.parametrize("version", VERSIONS)
async def test_forks_of_the_past_are_filled_piece_by_piece(house: House, database: Database, version: str) -> None:
    order = random.Random(version)
    for number in range(6):
        room, _ = grown(version, steps_of(order, 14), f"past{number}")
        if room.state.get(("m.room.join_rules", "")) is None or not may_join(room):
            continue
        await house.adopt(room)
        while (await house.base.cache.get(room.room_id)).gaps:
            outcomes = await fill(house, room, order.randint(1, 6))
            assert set(outcomes) <= {Outcome.ACCEPTED, Outcome.KNOWN}
        assert set(await house.timeline(room.room_id)) == set(room.events)
        await check_states(house, room)
    assert await database.fetchval("SELECT count(*) FROM forked_states") > 0


def steps_of(order: random.Random, count: int) -> list[Step]:
    def behind() -> tuple[int, ...]:
        return tuple(order.randint(1, 6) for _ in range(order.randint(1, 3)))

    return [
        Step(order.choice(MAKES), order.choice(USERS), order.choice(USERS), behind(), order.randint(0, 20))
        for _ in range(count)
    ]


def may_join(room: ForeignRoom) -> bool:
    rules: Event = room.events[room.state["m.room.join_rules", ""]]
    return rules.content["join_rule"] == "public"

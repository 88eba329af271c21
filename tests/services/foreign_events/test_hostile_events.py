"""Mallory's server sends what nobody honest would: it costs a bounded amount, and harms nobody else's events."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from homeserver.protocol.event_format import max_depth
from homeserver.protocol.events import Event
from homeserver.services.foreign_events.outcomes import Arrival, Outcome, ToldState
from homeserver.services.foreign_events.speculation import MAX_EXTREMITIES
from homeserver.storage.database import Database
from tests.federation.foreign_rooms import MALLORY, ForeignRoom
from tests.services.foreign_events.houses import BOB, OURS, House

ALICE = "@alice:peer.example"


async def joined(house: House, version: str = "10") -> ForeignRoom:
    room = ForeignRoom.create(version)
    room.member(ALICE, "join")
    await house.adopt(room)
    return room


def odd(event: Event, **content: object) -> Event:
    """The event with other content, whatever its signature says."""
    return replace(event, content=content, pdu={**event.pdu, "content": content})


@pytest.mark.parametrize("version", ["1", "10"])
async def test_depth_stops_at_its_limit(house: House, version: str) -> None:
    room = await joined(house, version)
    limit = max_depth(room.version)
    deep = room.send(ALICE, "deep", depth=limit)
    assert await house.outcomes(room, deep) == [Outcome.ACCEPTED]
    ours = await house.send(room.room_id, BOB, "m.room.message", {"body": "still here"})
    pdu = (await house.foreign.pdus.pdus([ours.event_id]))[ours.event_id]
    assert pdu["depth"] == limit
    assert pdu["prev_events"] in ([deep.event_id], [[deep.event_id, {}]]) or version == "1"


async def test_times_without_bound_are_refused_and_the_rest_is_taken(house: House) -> None:
    room = await joined(house, "1")
    good = room.send(ALICE, "good")
    late = room.build(ALICE, "m.room.message", {"body": "late"}, at_ms=2**70)
    nul = room.build(ALICE, "m.room.topic", {"topic": "x"}, "a\0b")
    spaced = replace(room.build(ALICE, "m.room.message", {}), event_id="$a b:peer.example")
    itself = replace(
        room.build(ALICE, "m.room.message", {}), event_id="$me:peer.example", prev_event_ids=("$me:peer.example",)
    )
    outcomes = await house.outcomes(room, late, nul, spaced, itself, good)
    assert outcomes == [Outcome.REJECTED] * 4 + [Outcome.ACCEPTED]


async def test_content_of_strange_types_is_rejected_without_an_error(
    house: House, caplog: pytest.LogCaptureFixture
) -> None:
    room = await joined(house, "1")
    strange: list[object] = [None, [], {}, 5, "x", [{}], {"a": []}, 2**80, True]
    levels = room.build(MALLORY, "m.room.power_levels", {}, "")
    member = room.build(MALLORY, "m.room.member", {}, "@x:peer.example")
    rules = room.build(MALLORY, "m.room.join_rules", {}, "")
    events = [
        *(replace(odd(levels, users=each), event_id=f"$l{n}:peer.example") for n, each in enumerate(strange)),
        *(replace(odd(levels, users={ALICE: each}), event_id=f"$u{n}:peer.example") for n, each in enumerate(strange)),
        *(
            replace(odd(levels, events=each, ban=each), event_id=f"$e{n}:peer.example")
            for n, each in enumerate(strange)
        ),
        *(replace(odd(member, membership=each), event_id=f"$m{n}:peer.example") for n, each in enumerate(strange)),
        *(replace(odd(rules, join_rule=each), event_id=f"$j{n}:peer.example") for n, each in enumerate(strange)),
    ]
    for event in events:
        await house.receive(room, event)
    assert "could not" not in caplog.text


async def test_forks_without_end_leave_no_more_extremities_than_an_event_can_cite(house: House) -> None:
    room = await joined(house)
    tip = list(room.tip)
    fork = [room.build(ALICE, "m.room.message", {"body": str(n)}, prev=tip) for n in range(3 * MAX_EXTREMITIES)]
    for start in range(0, len(fork), 25):
        part = fork[start : start + 25]
        assert set(await house.outcomes(room, *part)) == {Outcome.ACCEPTED}
    live = await house.base.cache.get(room.room_id)
    assert len(live.tip.extremities) == MAX_EXTREMITIES
    assert live.tip.extremities[-1] == fork[-1].event_id
    ours = await house.send(room.room_id, BOB, "m.room.message", {"body": "enough"})
    pdu = (await house.foreign.pdus.pdus([ours.event_id]))[ours.event_id]
    assert len(pdu["prev_events"]) == MAX_EXTREMITIES


async def test_an_event_of_a_room_is_none_of_another(house: House) -> None:
    """Ids of version 1 are free to choose: Mallory gives an event the id of one of another room."""
    room, other = await joined(house, "1"), ForeignRoom.create("1", name="other")
    await house.adopt(other)
    theirs = other.send(MALLORY, "theirs")
    assert await house.outcomes(other, theirs) == [Outcome.ACCEPTED]
    false = replace(room.build(ALICE, "m.room.message", {"body": "false"}), event_id=theirs.event_id)
    on_theirs = room.build(ALICE, "m.room.message", {"body": "x"}, prev=[theirs.event_id])
    assert await house.outcomes(room, false, on_theirs) == [Outcome.REJECTED] * 2
    assert theirs.event_id in await house.timeline(other.room_id)
    verdicts = await house.foreign.store_outliers(room.room_id, room.version, [false])
    assert [verdict.outcome for verdict in verdicts] == [Outcome.REJECTED]


@pytest.mark.parametrize("version", ["1", "2", "10", "12"])
async def test_one_who_is_banned_bans_others_at_the_same_time(house: House, version: str) -> None:
    """A race for power on two forks: what the loser did counts no more, whichever way it comes."""
    room = ForeignRoom.create(version)
    for user_id in (ALICE, "@dan:peer.example"):
        room.member(user_id, "join")
    room.set(MALLORY, "m.room.power_levels", {"users": {**({} if version == "12" else {MALLORY: 100}), ALICE: 50}})
    await house.adopt(room)
    tip = list(room.tip)
    room.now_ms += 10_000
    ban = room.add(room.build(MALLORY, "m.room.member", {"membership": "ban"}, ALICE, prev=tip))
    revenge = room.build(ALICE, "m.room.member", {"membership": "ban"}, "@dan:peer.example", prev=tip, at_ms=1)
    assert await house.outcomes(room, ban, revenge) == [Outcome.ACCEPTED, Outcome.SOFT_FAILED]
    room.add(revenge)
    after = room.send(MALLORY, "as ever")
    assert set(after.prev_event_ids) == {ban.event_id, revenge.event_id}
    assert await house.outcomes(room, after) == [Outcome.ACCEPTED]
    assert await house.state(room.room_id) == room.state
    assert (await house.state(room.room_id))["m.room.member", ALICE] == ban.event_id


async def test_a_told_state_of_nonsense_convinces_nobody(house: House) -> None:
    room = await joined(house)
    held = dict(room.state)
    auth = room.build(ALICE, "m.room.message", {}).auth_event_ids
    nowhere = dict.fromkeys(held, "$nothing")
    for number, state in enumerate(
        ({}, {("m.room.create", ""): "$nothing"}, nowhere, {**held, ("m.x", ""): "$nothing"})
    ):
        event = room.build(ALICE, "m.room.message", {"body": f"after a hole {number}"}, prev=["$unknown"], auth=auth)
        arrival = Arrival(event, (ToldState("$unknown", state),))
        assert await house.outcomes(room, arrival) == [Outcome.REJECTED]
        assert await house.state(room.room_id) == held
    live = await house.base.cache.get(room.room_id)
    assert live.tip.extremities == tuple(room.tip)


async def test_our_users_speak_on_while_forks_arrive(house: House, database: Database) -> None:
    """Own sends and foreign state at the same time: all are stored, and memory is what the database is."""
    room = await joined(house)
    room.keys[OURS] = house.key
    levels = room.set(MALLORY, "m.room.power_levels", {"users": {MALLORY: 100}, "state_default": 0})
    assert await house.outcomes(room, levels) == [Outcome.ACCEPTED]
    tip = list(room.tip)
    topics = [room.build(MALLORY, "m.room.topic", {"topic": str(n)}, "", prev=tip) for n in range(12)]

    async def speak(number: int) -> None:
        kind = ("m.room.message", {"body": str(number)}, None) if number % 3 else ("m.x", {"n": number}, BOB)
        await house.send(room.room_id, BOB, *kind)

    async def arrive() -> list[Outcome]:
        return [outcome for topic in topics for outcome in await house.outcomes(room, topic)]

    outcomes, *_ = await asyncio.gather(arrive(), *(speak(number) for number in range(40)))
    assert set(outcomes) <= {Outcome.ACCEPTED, Outcome.SOFT_FAILED}
    held = await house.state(room.room_id)
    assert held == await house.stored_state(room.room_id)
    await house.forget_rooms()
    assert await house.state(room.room_id) == held
    assert (
        await database.fetchval("SELECT count(*) FROM events WHERE sender = $1 AND type <> 'm.room.member'", BOB) == 40
    )


@pytest.mark.parametrize("count", [1, 10, 40])
async def test_a_transaction_takes_the_same_few_statements_whatever_its_size(
    house: House, database: Database, count: int
) -> None:
    room = await joined(house)
    line = [room.send(ALICE, str(number)) for number in range(count)]
    before = database.statements
    assert set(await house.outcomes(room, *line)) == {Outcome.ACCEPTED}
    assert database.statements - before == 2
    tip = list(room.tip)
    for number in range(count):
        room.now_ms += 1
        room.add(room.build(MALLORY, "m.room.topic", {"topic": str(number)}, "", prev=tip))
    forks = list(room.events.values())[-count:]
    before = database.statements
    assert set(await house.outcomes(room, *forks[:15])) == {Outcome.ACCEPTED}
    assert database.statements - before <= 12

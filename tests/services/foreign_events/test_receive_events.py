"""Events of other servers arrive: one after the other, forked, wrong."""

from __future__ import annotations

import pytest

from homeserver.services.foreign_events.outcomes import Outcome, Standing
from homeserver.storage.database import Database
from tests.federation.foreign_rooms import MALLORY, ForeignRoom
from tests.services.foreign_events.houses import BOB, House

VERSIONS = ("1", "2", "6", "10", "12")
ALICE = "@alice:peer.example"


async def joined(house: House, version: str = "10", **more: object) -> ForeignRoom:
    """Mallory's room, in which Alice is and Bob, who is ours."""
    room = ForeignRoom.create(version)
    room.member(ALICE, "join")
    await house.adopt(room)
    return room


async def check_agreement(house: House, room: ForeignRoom) -> None:
    """Memory, database and the plain resolution say the same."""
    assert await house.state(room.room_id) == room.state
    assert await house.stored_state(room.room_id) == room.state
    await house.forget_rooms()
    assert await house.state(room.room_id) == room.state


@pytest.mark.parametrize("version", VERSIONS)
async def test_a_conversation_is_a_line(house: House, version: str) -> None:
    room = await joined(house, version)
    hello = room.send(ALICE, "hello")
    topic = room.set(MALLORY, "m.room.topic", {"topic": "lairs"})
    left = room.member(ALICE, "leave")
    assert await house.outcomes(room, hello, topic, left) == [Outcome.ACCEPTED] * 3
    assert (await house.timeline(room.room_id))[-3:] == [hello.event_id, topic.event_id, left.event_id]
    assert await house.outcomes(room, hello, left) == [Outcome.KNOWN] * 2
    await check_agreement(house, room)
    for event in (hello, topic, left):
        assert await house.before(room.room_id, event.event_id) == room.state_before(event.prev_event_ids)
        assert await house.after(room.room_id, event.event_id) == room.states[event.event_id]


@pytest.mark.parametrize("version", VERSIONS)
async def test_two_who_speak_at_once_are_a_fork_without_consequences(
    house: House, database: Database, version: str
) -> None:
    room = await joined(house, version)
    tip = list(room.tip)
    one = room.send(ALICE, "one")
    two = room.add(room.build(MALLORY, "m.room.message", {"body": "two"}, prev=tip))
    merged = room.send(ALICE, "three")
    assert await house.outcomes(room, one, two, merged) == [Outcome.ACCEPTED] * 3
    assert set(merged.prev_event_ids) == {one.event_id, two.event_id}
    live = await house.base.cache.get(room.room_id)
    assert live.tip.extremities == (merged.event_id,)
    assert await database.fetchval("SELECT count(*) FROM forked_states") == 0
    await check_agreement(house, room)


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("together", [True, False])
async def test_state_that_was_set_twice_is_resolved(house: House, version: str, together: bool) -> None:
    room = await joined(house, version)
    tip = list(room.tip)
    room.now_ms += 1000
    later = room.set(MALLORY, "m.room.topic", {"topic": "later"})
    earlier = room.add(room.build(MALLORY, "m.room.topic", {"topic": "earlier"}, "", prev=tip, at_ms=5))
    aside = room.add(room.build(ALICE, "m.room.message", {"body": "seen"}, prev=[later.event_id]))
    both = room.send(ALICE, "after both")
    events = [later, earlier, aside, both]
    if together:
        assert await house.outcomes(room, *events) == [Outcome.ACCEPTED] * 4
    else:
        for event in events:
            assert await house.outcomes(room, event) == [Outcome.ACCEPTED]
    await check_agreement(house, room)
    for event in events:
        assert await house.before(room.room_id, event.event_id) == room.state_before(event.prev_event_ids)
        assert await house.after(room.room_id, event.event_id) == room.states[event.event_id]


async def test_our_own_send_meanwhile_makes_the_fork(house: House) -> None:
    room = await joined(house)
    topic = room.build(MALLORY, "m.room.topic", {"topic": "hers"}, "")
    ours = await house.send(room.room_id, BOB, "m.room.message", {"body": "ours"})
    assert await house.outcomes(room, topic) == [Outcome.ACCEPTED]
    room.add(topic)
    live = await house.base.cache.get(room.room_id)
    assert set(live.tip.extremities) == {ours.event_id, topic.event_id}
    assert (await house.state(room.room_id))["m.room.topic", ""] == topic.event_id
    again = await house.send(room.room_id, BOB, "m.room.message", {"body": "again"})
    pdu = (await house.foreign.pdus.pdus([again.event_id]))[again.event_id]
    assert set(pdu["prev_events"]) == {ours.event_id, topic.event_id}


async def test_what_the_rules_forbid_is_rejected_and_kept(house: House) -> None:
    room = await joined(house)
    topic = room.build(ALICE, "m.room.topic", {"topic": "mine"}, "")
    on_it = room.build(ALICE, "m.room.message", {"body": "x"}, prev=[topic.event_id], auth=room.build(
        ALICE, "m.room.message", {"body": "y"}).auth_event_ids)  # fmt: skip
    citing = room.build(ALICE, "m.room.message", {"body": "z"}, auth=[topic.event_id])
    assert await house.outcomes(room, topic, on_it, citing) == [Outcome.REJECTED, Outcome.ACCEPTED, Outcome.REJECTED]
    standings = await house.foreign.standings([topic.event_id, on_it.event_id, citing.event_id])
    assert list(standings.values()).count(Standing.REJECTED) == 2
    assert ("m.room.topic", "") not in await house.state(room.room_id)
    assert await house.after(room.room_id, topic.event_id) == room.state
    assert await house.outcomes(room, topic) == [Outcome.KNOWN]


@pytest.mark.parametrize("version", VERSIONS)
async def test_a_banned_user_who_backdates_is_soft_failed(house: House, version: str) -> None:
    room = await joined(house, version)
    before = list(room.tip)
    ban = room.member(ALICE, "ban", sender=MALLORY)
    assert await house.outcomes(room, ban) == [Outcome.ACCEPTED]
    sly = room.build(ALICE, "m.room.message", {"body": "still here"}, prev=before, at_ms=1)
    assert await house.outcomes(room, sly) == [Outcome.SOFT_FAILED]
    assert await house.foreign.standings([sly.event_id]) == {sly.event_id: Standing.SOFT_FAILED}
    assert sly.event_id not in await house.timeline(room.room_id)
    assert (await house.base.cache.get(room.room_id)).tip.extremities == (ban.event_id,)
    assert await house.before(room.room_id, sly.event_id) == room.state_before(before)
    await check_agreement(house, room)


async def test_events_that_do_not_belong_here_are_refused(house: House, database: Database) -> None:
    room, other = await joined(house), ForeignRoom.create("10", name="other")
    await house.adopt(other)
    stored = await database.fetchval("SELECT count(*) FROM events")
    wrong = [
        other.build(MALLORY, "m.room.message", {"body": "of another room"}),
        room.build(ALICE, "m.room.message", {"body": "built on nothing we have"}, prev=["$nowhere"]),
        room.build(ALICE, "m.room.message", {"body": "no past"}, prev=[], auth=[]),
        room.build(ALICE, "m.room.message", {"body": "unknown auth"}, auth=["$nobody"]),
        room.build(ALICE, "m.room.mess\0age", {"body": "nul"}),
        room.build(MALLORY, "m.room.create", {"creator": MALLORY}, "", prev=[], auth=[]),
    ]
    good = room.send(ALICE, "good")
    outcomes = await house.outcomes(room, *wrong, good)
    assert outcomes == [Outcome.REJECTED] * len(wrong) + [Outcome.ACCEPTED]
    assert await database.fetchval("SELECT count(*) FROM events") == stored + 1
    borrowed = room.build(ALICE, "m.room.message", {"body": "theirs"}, auth=list(other.state.values())[:3])
    assert await house.outcomes(room, borrowed) == [Outcome.REJECTED]
    await check_agreement(house, room)


async def test_an_outlier_that_arrives_gets_its_place(house: House) -> None:
    room = await joined(house)
    topic = room.set(MALLORY, "m.room.topic", {"topic": "early"})
    verdicts = await house.foreign.store_outliers(room.room_id, room.version, [topic])
    assert [verdict.outcome for verdict in verdicts] == [Outcome.OUTLIER]
    assert await house.foreign.standings([topic.event_id]) == {topic.event_id: Standing.OUTLIER}
    assert ("m.room.topic", "") not in await house.state(room.room_id)
    hello = room.send(ALICE, "hello")
    assert await house.outcomes(room, topic, hello) == [Outcome.ACCEPTED] * 2
    assert (await house.timeline(room.room_id))[-2:] == [topic.event_id, hello.event_id]
    await check_agreement(house, room)
    assert await house.before(room.room_id, hello.event_id) == room.state_before(hello.prev_event_ids)

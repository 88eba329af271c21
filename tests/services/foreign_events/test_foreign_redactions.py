"""Redactions by users of other servers: who may, in which order they come, and what clients get to see."""

from __future__ import annotations

import pytest

from homeserver.protocol.events import Event
from homeserver.protocol.hashing import content_hash, encode_base64
from homeserver.protocol.signing import sign_event
from homeserver.services.foreign_events.outcomes import Outcome, Standing
from homeserver.services.rooms.timeline_event import REDACTED
from homeserver.storage.database import Database
from tests.federation.foreign_rooms import MALLORY, ForeignRoom
from tests.services.foreign_events.houses import BOB, House

PEER = "peer.example"
ALICE = "@alice:peer.example"
VERSIONS = ("3", "10", "11", "12")


async def talking(house: House, version: str) -> ForeignRoom:
    room = ForeignRoom.create(version)
    room.member(ALICE, "join")
    await house.adopt(room)
    return room


def named(room: ForeignRoom, event: Event, event_id: str) -> Event:
    """In versions 1 and 2 a server calls its events what it likes."""
    pdu = {**event.pdu, "event_id": event_id}
    pdu["hashes"] = {"sha256": encode_base64(content_hash(pdu, room.version))}
    return Event.from_pdu(sign_event(pdu, room.version, PEER, room.keys[PEER]), room.version, event_id)


async def content_of(house: House, event_id: str) -> dict[str, object]:
    pdus = await house.foreign.pdus.pdus([event_id])
    content: dict[str, object] = pdus[event_id]["content"]
    return content


@pytest.mark.parametrize("version", ["1", "2", *VERSIONS])
@pytest.mark.parametrize("together", [True, False])
async def test_who_said_it_may_take_it_back(house: House, version: str, together: bool) -> None:
    room = await talking(house, version)
    spoken = room.send(ALICE, "oops")
    redaction = room.add(room.build(ALICE, "m.room.redaction", {}, redacts=spoken.event_id))
    if together:
        assert await house.outcomes(room, spoken, redaction) == [Outcome.ACCEPTED] * 2
    else:
        assert await house.outcomes(room, spoken) == [Outcome.ACCEPTED]
        assert await house.outcomes(room, redaction) == [Outcome.ACCEPTED]
    assert await content_of(house, spoken.event_id) == {}
    assert (await house.timeline(room.room_id))[-2:] == [spoken.event_id, redaction.event_id]
    live = await house.base.cache.get(room.room_id)
    held = next(event for event in live.recent if event.event_id == spoken.event_id)
    assert held.flags & REDACTED
    assert held.unsigned is not None
    assert redaction.event_id.encode() in held.unsigned
    await house.forget_rooms()
    again = next(
        event for event in (await house.base.cache.get(room.room_id)).recent if event.event_id == spoken.event_id
    )
    assert again.body == held.body


@pytest.mark.parametrize("version", VERSIONS)
async def test_mallory_without_power_redacts_nothing_and_nobody_sees_her_try(house: House, version: str) -> None:
    room = await talking(house, version)
    carol = "@carol:ours.example"
    room.member(carol, "join")
    assert await house.outcomes(room, room.events[room.tip[0]]) == [Outcome.ACCEPTED]
    ours = await house.send(room.room_id, BOB, "m.room.message", {"body": "mine"})
    room.tip = [ours.event_id]
    room.states[ours.event_id] = room.states[next(reversed(room.events))]
    try_it = room.build(ALICE, "m.room.redaction", {}, redacts=ours.event_id)
    on_it = room.build(
        ALICE, "m.room.message", {"body": "hm"}, prev=[try_it.event_id],
        auth=room.build(ALICE, "m.room.message", {}).auth_event_ids,
    )  # fmt: skip
    assert await house.outcomes(room, try_it, on_it) == [Outcome.ACCEPTED] * 2
    assert await content_of(house, ours.event_id) == {"body": "mine"}
    timeline = await house.timeline(room.room_id)
    assert try_it.event_id not in timeline
    assert timeline[-1] == on_it.event_id
    by_moderator = room.build(MALLORY, "m.room.redaction", {}, prev=[on_it.event_id], redacts=ours.event_id,
                              auth=room.build(MALLORY, "m.room.message", {}).auth_event_ids)  # fmt: skip
    assert await house.outcomes(room, by_moderator) == [Outcome.ACCEPTED]
    assert await content_of(house, ours.event_id) == {}


@pytest.mark.parametrize("version", VERSIONS)
async def test_a_redaction_that_comes_first_waits_for_its_event(house: House, database: Database, version: str) -> None:
    room = await talking(house, version)
    start = list(room.tip)
    spoken = room.build(ALICE, "m.room.message", {"body": "oops"})
    redaction = room.build(ALICE, "m.room.redaction", {}, prev=start, redacts=spoken.event_id)
    assert await house.outcomes(room, redaction) == [Outcome.ACCEPTED]
    assert redaction.event_id not in await house.timeline(room.room_id)
    assert await house.outcomes(room, spoken) == [Outcome.ACCEPTED]
    assert await content_of(house, spoken.event_id) == {}
    assert (await house.timeline(room.room_id))[-2:] == [spoken.event_id, redaction.event_id]
    assert await database.fetchval("SELECT bool_and(applied) FROM redactions")
    assert await house.foreign.standings([redaction.event_id]) == {redaction.event_id: Standing.IN_TIMELINE}
    assert await house.before(room.room_id, redaction.event_id) == room.state_before(start)


@pytest.mark.parametrize("version", ["1", "2"])
async def test_in_old_rooms_a_redaction_is_seen_before_its_event(house: House, version: str) -> None:
    room = await talking(house, version)
    start = list(room.tip)
    spoken = room.build(ALICE, "m.room.message", {"body": "oops"})
    redaction = room.build(ALICE, "m.room.redaction", {}, prev=start, redacts=spoken.event_id)
    assert await house.outcomes(room, redaction) == [Outcome.ACCEPTED]
    assert await house.outcomes(room, spoken) == [Outcome.ACCEPTED]
    assert await content_of(house, spoken.event_id) == {}
    assert (await house.timeline(room.room_id))[-2:] == [redaction.event_id, spoken.event_id]


@pytest.mark.parametrize("together", [True, False])
async def test_events_that_redact_themselves_or_each_other_are_events_like_others(house: House, together: bool) -> None:
    room = await talking(house, "1")
    itself, one, other = (f"$r{number}:peer.example" for number in range(3))
    events = [
        room.add(named(room, room.build(ALICE, "m.room.redaction", {}, redacts=redacts), event_id))
        for event_id, redacts in ((itself, itself), (one, other), (other, one))
    ]
    for some in [events] if together else [[each] for each in events]:
        assert await house.outcomes(room, *some) == [Outcome.ACCEPTED] * len(some)
    assert (await house.timeline(room.room_id))[-3:] == [itself, one, other]


async def test_one_who_had_no_power_gets_none_by_coming_first(house: House) -> None:
    room = await talking(house, "10")
    spoken = room.build(MALLORY, "m.room.message", {"body": "stays"}, prev=room.tip)
    carol = "@carol:ours.example"
    room.keys["ours.example"] = house.key
    room.member(carol, "join")
    assert await house.outcomes(room, room.events[room.tip[0]]) == [Outcome.ACCEPTED]
    redaction = room.build(carol, "m.room.redaction", {}, redacts=spoken.event_id)
    assert await house.outcomes(room, redaction, spoken) == [Outcome.ACCEPTED] * 2
    assert await content_of(house, spoken.event_id) == {"body": "stays"}
    assert redaction.event_id not in await house.timeline(room.room_id)


async def test_state_and_what_replaced_it_redacted_in_one_go(house: House) -> None:
    room = await talking(house, "10")
    one = room.set(MALLORY, "m.room.topic", {"topic": "secret one"})
    two = room.set(MALLORY, "m.room.topic", {"topic": "secret two"})
    assert await house.outcomes(room, one, two) == [Outcome.ACCEPTED] * 2
    later = room.add(room.build(MALLORY, "m.room.redaction", {}, redacts=two.event_id))
    earlier = room.add(room.build(MALLORY, "m.room.redaction", {}, redacts=one.event_id))
    assert await house.outcomes(room, later, earlier) == [Outcome.ACCEPTED] * 2
    stored = await house.base.events.by_ids(house.base.database, [one.event_id, two.event_id])
    for record in stored:
        assert b"secret" not in record["body"]
        assert b"secret" not in (record["unsigned"] or b"")
    held = (await house.base.cache.get(room.room_id)).state.get("m.room.topic", "")
    assert held is not None
    assert held.content == {}

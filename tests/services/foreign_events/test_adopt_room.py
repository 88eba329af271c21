"""A room that we come into: for the first time, once more, and where the server inside lies."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest

from homeserver.protocol.errors import BadGateway, Forbidden, MatrixError, UnsupportedRoomVersion
from homeserver.protocol.room_versions import ROOM_VERSIONS
from homeserver.services.foreign_events.outcomes import Outcome, Standing
from homeserver.services.rooms import event_rows
from homeserver.storage import event_writes
from homeserver.storage.database import Database
from tests.federation.foreign_rooms import MALLORY, ForeignRoom
from tests.federation.peers import signing_key
from tests.services.foreign_events.houses import BOB, OURS, House

ALICE = "@alice:peer.example"
VERSIONS = tuple(ROOM_VERSIONS)


@pytest.mark.parametrize("version", VERSIONS)
async def test_the_room_is_there_at_once(house: House, version: str) -> None:
    room = ForeignRoom.create(version)
    room.member(ALICE, "join")
    room.set(MALLORY, "m.room.topic", {"topic": "lairs"})
    invite = room.member(BOB, "invite", sender=MALLORY)
    live = await house.adopt(room)
    assert live.joined == {MALLORY, ALICE, BOB}
    assert live.joined_local == {BOB}
    assert await house.state(room.room_id) == room.state == await house.stored_state(room.room_id)
    assert await house.timeline(room.room_id) == room.tip
    assert [gap.missing for gap in live.gaps] == [(invite.event_id,)]
    assert await house.before(room.room_id, room.tip[0]) == room.state_before([invite.event_id])
    said = await house.send(room.room_id, BOB, "m.room.message", {"body": "hello"})
    pdu = (await house.foreign.pdus.pdus([said.event_id]))[said.event_id]
    assert len(pdu["prev_events"]) == 1
    await house.forget_rooms()
    again = await house.base.cache.get(room.room_id)
    assert again.gaps == live.gaps
    assert await house.state(room.room_id) == room.state


@pytest.mark.parametrize("version", ["1", "10", "12"])
async def test_back_after_all_of_us_had_left(house: House, version: str) -> None:
    room = ForeignRoom.create(version)
    room.member(ALICE, "join")
    await house.adopt(room)
    left = await house.send(room.room_id, BOB, "m.room.member", {"membership": "leave"}, BOB)
    room.accept((await house.foreign.pdus.pdus([left.event_id]))[left.event_id])
    room.set(MALLORY, "m.room.topic", {"topic": "while you were away"})
    room.member(ALICE, "leave")
    room.member("@carol:peer.example", "join")
    live = await house.adopt(room)
    assert live.tip.extremities == tuple(room.tip)
    assert await house.state(room.room_id) == room.state == await house.stored_state(room.room_id)
    assert live.joined == {MALLORY, BOB, "@carol:peer.example"}
    assert len(live.gaps) == 2
    assert await house.before(room.room_id, room.tip[0]) == room.state_before(room.events[room.tip[0]].prev_event_ids)
    assert await house.before(room.room_id, left.event_id) == room.state_before(
        room.events[left.event_id].prev_event_ids
    )


async def test_a_large_room_is_made_ready_aside(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(event_rows, "MANY_CHANGES", 10)
    monkeypatch.setattr(event_writes, "ENTRIES_PER_STATEMENT", 7)
    room = ForeignRoom.create("10")
    room.keys.update((f"peer{number}.example", signing_key(20 + number)) for number in range(3))
    for number in range(20):
        room.member(f"@user{number}:peer{number % 3}.example", "join")
    room.member("@user4:peer1.example", "leave")
    room.member("@eve:peer.example", "ban", sender=MALLORY)
    room.member("@carol:ours.example", "invite", sender=MALLORY)
    for _ in range(2):  # for the first time, and once more
        live = await house.adopt(room)
        assert await house.state(room.room_id) == room.state == await house.stored_state(room.room_id)
        known = (live.joined, live.joined_local, live.invited, live.servers, live.state.count, live.state.weight)
        await house.forget_rooms()
        again = await house.base.cache.get(room.room_id)
        loaded = (again.joined, again.joined_local, again.invited, again.servers, again.state.count, again.state.weight)
        assert known == loaded
        assert len(live.joined) == 21
        left = await house.send(room.room_id, BOB, "m.room.member", {"membership": "leave"}, BOB)
        room.accept((await house.foreign.pdus.pdus([left.event_id]))[left.event_id])
        for number in range(5, 20):
            room.member(f"@user{number}:peer{number % 3}.example", "leave")
            room.member(f"@user{number}:peer.example", "join")


async def test_a_join_that_the_state_does_not_allow_is_no_way_in(house: House, database: Database) -> None:
    room = ForeignRoom.create("10", join_rule="invite")
    with pytest.raises(Forbidden):
        await house.adopt(room)
    with pytest.raises(MatrixError):
        await house.base.cache.get(room.room_id)
    assert await database.fetchval("SELECT count(*) FROM events WHERE position IS NOT NULL") == 0
    room.member(BOB, "invite", sender=MALLORY)
    assert (await house.adopt(room)).joined_local == {BOB}


async def test_states_that_are_none_are_not_believed(house: House) -> None:
    room = ForeignRoom.create("10")
    other = ForeignRoom.create("10", name="other")
    room.keys[OURS] = house.key
    join = room.build(BOB, "m.room.member", {"membership": "join"}, BOB)
    state, chain = room.state_events(), room.auth_chain([*room.state_events(), join])
    topics = [room.build(MALLORY, "m.room.topic", {"topic": name}, "") for name in ("a", "b")]
    message = room.build(MALLORY, "m.room.message", {"body": "no state"})
    create = next(event for event in state if event.type == "m.room.create")
    second = room.build(MALLORY, "m.room.create", {"creator": MALLORY, "second": True}, "", prev=[], auth=[])
    adopt = house.foreign.adopt
    for lie, links in (
        ([*state, *topics], chain),
        ([*state, message], chain),
        ([event for event in state if event is not create], chain),
        (state, [*chain, second]),
        (other.state_events(), other.auth_chain(other.state_events())),
        ([], []),
    ):
        with pytest.raises((BadGateway, Forbidden)):
            await adopt(room.room_id, room.version, join, lie, links)
    with pytest.raises((UnsupportedRoomVersion, BadGateway)):
        await adopt(room.room_id, ROOM_VERSIONS["9"], join, state, chain)


async def test_state_that_the_rules_do_not_allow_is_left_out(house: House) -> None:
    room = ForeignRoom.create("10")
    room.member(ALICE, "join")
    room.keys[OURS] = house.key
    coup = room.build(ALICE, "m.room.power_levels", {"users": {ALICE: 100}}, "")
    topic = room.build(ALICE, "m.room.topic", {"topic": "mine"}, "")
    state = [event for event in room.state_events() if event.type != "m.room.power_levels"] + [coup, topic]
    chain = room.auth_chain(state)
    join = room.build(BOB, "m.room.member", {"membership": "join"}, BOB)
    await house.foreign.adopt(room.room_id, room.version, join, state, [*chain, *room.auth_chain([join])])
    held = await house.state(room.room_id)
    assert ("m.room.topic", "") not in held
    assert ("m.room.power_levels", "") not in held
    standings = await house.foreign.standings([coup.event_id, topic.event_id])
    assert set(standings.values()) == {Standing.REJECTED}


async def test_looping_and_dangling_auth_chains_end(house: House) -> None:
    """Possible in rooms of version 2 only, where ids are no hashes."""
    room = ForeignRoom.create("2")
    one = room.build(MALLORY, "m.room.topic", {"topic": "1"}, "")
    two = room.build(MALLORY, "m.room.name", {"name": "2"}, "")
    loop = [replace(one, auth_event_ids=(two.event_id,)), replace(two, auth_event_ids=(one.event_id,))]
    on_loop = room.build(MALLORY, "m.room.avatar", {}, "", auth=[one.event_id])
    itself = replace(on_loop, event_id="$self:peer.example", auth_event_ids=("$self:peer.example",))
    dangling = room.build(MALLORY, "m.room.encryption", {}, "", auth=["$nobody:peer.example"])
    events = [*loop, on_loop, itself, dangling, *room.events.values()]
    verdicts = await house.foreign.store_outliers(room.room_id, room.version, events)
    outcomes = {verdict.event_id: verdict.outcome for verdict in verdicts}
    for event in (*loop, on_loop, itself, dangling):
        assert outcomes[event.event_id] is Outcome.REJECTED
    assert await house.foreign.standings([event.event_id for event in (*loop, itself, dangling)]) == {}
    assert {outcomes[event_id] for event_id in room.events} == {Outcome.OUTLIER}
    chain = await house.foreign.auth_chains.of(list(room.state.values()))
    assert set(chain) == {event.event_id for event in room.auth_chain(room.state_events())}


async def test_a_room_of_many_members_takes_few_statements(house: House, database: Database) -> None:
    """The same number for 30 and for 300 of them: none is asked about by itself."""
    counts = []
    for name, members in (("small", 30), ("large", 300)):
        room = ForeignRoom.create("10", name=name)
        for number in range(members):
            user_id = f"@u{number}:peer.example"
            event = room.build(user_id, "m.room.member", {"membership": "join"}, user_id)
            room.events[event.event_id] = event
            # Not `add`, which walks through all the state each time.
            room.states[event.event_id] = {**room.states[room.tip[0]], event.key: event.event_id}
            room.tip = [event.event_id]
        before, started = database.statements, time.monotonic()
        live = await house.adopt(room)
        counts.append(database.statements - before)
        assert len(live.joined) == members + 2
        assert time.monotonic() - started < 5
    assert counts[0] == counts[1]
    assert counts[0] <= 12

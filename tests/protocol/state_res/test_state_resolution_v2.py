"""State resolution version 2 (rooms 2 to 11), and what version 2.1 (room 12) has in common with it."""

from __future__ import annotations

import pytest

from homeserver.protocol.events import StateKey
from homeserver.protocol.room_versions import ROOM_VERSIONS
from homeserver.protocol.state_res import EventLookup, resolve, walk_auth_chain
from tests.protocol.factory import ALICE, BOB, CHARLIE, MALLORY, RoomBuilder, resolved, since

TOPIC = ("m.room.topic", "")
LEVELS = ("m.room.power_levels", "")
JOIN_RULES = ("m.room.join_rules", "")


def member(user: str) -> StateKey:
    return ("m.room.member", user)


@pytest.fixture(params=since("2"))
def room(request: pytest.FixtureRequest) -> RoomBuilder:
    """A public room of Alice (100, or its creator), Bob (50) and Charlie (0)."""
    return RoomBuilder(request.param).power_levels({BOB: 50}).join_rule("public").join(BOB, CHARLIE)


def topic(room: RoomBuilder, by: str, text: str, **fields: int) -> RoomBuilder:
    return room.set(by, "m.room.topic", {"topic": text}, **fields)


def test_equal_states_are_their_own_resolution(room: RoomBuilder) -> None:
    assert resolved(room) == room.state
    assert resolved(room, room.fork(), room.fork()) == room.state
    assert resolve(room.version, [], None, room.events.get) == {}


def test_what_is_in_one_state_only_is_taken_in(room: RoomBuilder) -> None:
    other = topic(room.fork(), BOB, "Tea")
    assert resolved(room, other) == other.state


# --- Topics -------------------------------------------------------------------------------------------------------


def test_of_two_topics_the_later_one_stays(room: RoomBuilder) -> None:
    early, late = room.fork(), room.fork()
    topic(late, BOB, "Late", origin_server_ts=2_000_000)
    topic(early, ALICE, "Early", origin_server_ts=1_000_000)
    assert resolved(early, late)[TOPIC] == late.state[TOPIC]


def test_at_the_same_time_the_greater_event_id_stays(room: RoomBuilder) -> None:
    one, two = room.fork(), room.fork()
    for fork, name in ((one, "$a"), (two, "$b")):
        fork.add(fork.draft(BOB, "m.room.topic", {}, "", event_id=name, origin_server_ts=5_000_000))
    assert resolved(one, two)[TOPIC] == two.state[TOPIC]
    assert two.state[TOPIC] > one.state[TOPIC]


def test_a_topic_under_newer_power_levels_stays_though_its_clock_is_slow(room: RoomBuilder) -> None:
    """Mainline ordering: what is based on earlier power levels comes first, whatever its time."""
    old, new = room.fork(), room.fork()
    topic(old, BOB, "Old", origin_server_ts=9_000_000)
    new.power_levels({BOB: 50}, events={"m.room.name": 50})
    topic(new, BOB, "New", origin_server_ts=1)
    assert resolved(old, new)[TOPIC] == new.state[TOPIC]


def test_a_topic_that_the_new_levels_do_not_allow_goes(room: RoomBuilder) -> None:
    topic(room, ALICE, "Before")
    strict, lax = room.fork(), room.fork()
    strict.power_levels({BOB: 50}, events={"m.room.topic": 100 if room.version.version != "12" else 51})
    topic(lax, BOB, "Bob's")
    result = resolved(strict, lax)
    assert result[LEVELS] == strict.state[LEVELS]
    assert result[TOPIC] == strict.state[TOPIC]


# --- Bans and kicks -----------------------------------------------------------------------------------------------


def test_a_ban_undoes_what_the_banned_did_meanwhile(room: RoomBuilder) -> None:
    topic(room, ALICE, "Before")
    ban, meanwhile = room.fork(), room.fork()
    ban.member(BOB, "ban", by=ALICE)
    topic(meanwhile, BOB, "Bob was here")
    result = resolved(ban, meanwhile)
    assert result[member(BOB)] == ban.state[member(BOB)]
    assert result[TOPIC] == ban.state[TOPIC]


def test_the_banned_cannot_strike_back_with_an_older_clock(room: RoomBuilder) -> None:
    """Alice has more power, so her ban is replayed before Bob's ban of Charlie, though that claims to be older."""
    ban, back = room.fork(), room.fork()
    ban.member(BOB, "ban", by=ALICE)
    back.set(BOB, "m.room.member", {"membership": "ban"}, CHARLIE, origin_server_ts=1)
    result = resolved(ban, back)
    assert result[member(BOB)] == ban.state[member(BOB)]
    assert result[member(CHARLIE)] == room.state[member(CHARLIE)]


def test_two_moderators_kick_different_people(room: RoomBuilder) -> None:
    room.join(MALLORY)
    one, two = room.fork(), room.fork()
    one.member(CHARLIE, "leave", by=BOB)
    two.member(MALLORY, "leave", by=ALICE)
    result = resolved(one, two)
    assert result[member(CHARLIE)] == one.state[member(CHARLIE)]
    assert result[member(MALLORY)] == two.state[member(MALLORY)]


def test_a_ban_beats_a_profile_change_of_the_same_user(room: RoomBuilder) -> None:
    ban, rename = room.fork(), room.fork()
    ban.member(CHARLIE, "ban", by=BOB)
    rename.member(CHARLIE, "join", displayname="Charles")
    assert resolved(ban, rename)[member(CHARLIE)] == ban.state[member(CHARLIE)]


def test_a_kicked_user_may_come_back_to_a_public_room(room: RoomBuilder) -> None:
    kick, stay = room.fork(), room.fork()
    kick.member(CHARLIE, "leave", by=BOB).join(CHARLIE)
    topic(stay, BOB, "Meanwhile")
    result = resolved(kick, stay)
    assert result[member(CHARLIE)] == kick.state[member(CHARLIE)]
    assert result[TOPIC] == stay.state[TOPIC]


# --- Joins --------------------------------------------------------------------------------------------------------


def test_joins_of_two_forks_come_together(room: RoomBuilder) -> None:
    one, two = room.fork().join("@dora:example.org"), room.fork().join("@emil:elsewhere.example")
    result = resolved(one, two)
    assert result == {**one.state, **two.state}


def test_who_joined_while_the_room_was_being_closed_is_not_in(room: RoomBuilder) -> None:
    closed, open_ = room.fork().join_rule("invite"), room.fork().join("@dora:example.org")
    result = resolved(closed, open_)
    assert result[JOIN_RULES] == closed.state[JOIN_RULES]
    assert member("@dora:example.org") not in result


def test_mallory_invites_herself_nowhere(room: RoomBuilder) -> None:
    """An event that was allowed only in Mallory's own fork, where she forged her power, is ignored."""
    forged = room.fork().join(MALLORY)
    levels = {"users": {MALLORY: 100}}
    forged.set(MALLORY, "m.room.power_levels", levels)
    topic(forged, MALLORY, "Mallory's")
    result = resolved(room, forged)
    assert result[LEVELS] == room.state[LEVELS]
    assert TOPIC not in result


# --- Power levels -------------------------------------------------------------------------------------------------


def test_of_two_power_levels_that_of_the_more_powerful_comes_first_and_rules(room: RoomBuilder) -> None:
    demoted, promoted = room.fork(), room.fork()
    demoted.power_levels({BOB: 0})
    current = room.fetch(*LEVELS)
    assert current is not None
    users = {**current.content["users"], MALLORY: 50}
    promoted.set(BOB, "m.room.power_levels", {**current.content, "users": users}, origin_server_ts=1)
    assert resolved(demoted, promoted)[LEVELS] == demoted.state[LEVELS]


def test_of_two_power_levels_of_equals_the_later_one_stays(room: RoomBuilder) -> None:
    one, two = room.fork(), room.fork()
    current = room.fetch(*LEVELS)
    assert current is not None
    two.set(ALICE, "m.room.power_levels", {**current.content, "ban": 51}, origin_server_ts=9_000_000)
    one.set(ALICE, "m.room.power_levels", {**current.content, "ban": 52}, origin_server_ts=8_000_000)
    assert resolved(one, two)[LEVELS] == two.state[LEVELS]


def test_power_given_and_used_in_one_fork_is_replayed_in_that_order(room: RoomBuilder) -> None:
    busy, quiet = room.fork(), room.fork()
    busy.power_levels({BOB: 50, CHARLIE: 50})
    busy.set(CHARLIE, "m.room.member", {"membership": "ban"}, MALLORY, origin_server_ts=1)
    topic(quiet, BOB, "Quiet")
    result = resolved(busy, quiet)
    assert result == {**quiet.state, **busy.state}


def test_three_forks(room: RoomBuilder) -> None:
    ban, rename, join = room.fork(), room.fork(), room.fork()
    ban.member(CHARLIE, "ban", by=ALICE)
    rename.set(CHARLIE, "m.room.name", {"name": "Charlie's"})
    join.join(MALLORY)
    result = resolved(ban, rename, join)
    assert result == {**room.state, **join.state, **ban.state}


# --- Rooms without power levels, missing and rejected events ------------------------------------------------------


@pytest.mark.parametrize("version", since("2"))
def test_a_room_without_power_levels_resolves_by_time(version: str) -> None:
    room = RoomBuilder(version).join_rule("public").join(BOB)
    one, two = room.fork(), room.fork()
    topic(one, ALICE, "One", origin_server_ts=2_000_000)
    topic(two, ALICE, "Two", origin_server_ts=1_000_000)
    assert resolved(one, two)[TOPIC] == one.state[TOPIC]


def test_a_rejected_auth_event_authorises_nothing() -> None:
    """ "The appropriate state event from the event's auth_events is used if the auth event is not rejected." """
    room = RoomBuilder("11").join_rule("public").join(CHARLIE)
    states = [{key: value for key, value in room.state.items() if key != JOIN_RULES} for _ in range(2)]
    states[1][member(BOB)] = room.fork().join(BOB).state[member(BOB)]
    result = resolve(room.version, states, None, room.events.get)
    assert member(BOB) in result
    rejected = {room.state[JOIN_RULES]}
    assert member(BOB) not in resolve(room.version, states, None, room.events.get, rejected_event_ids=rejected)


def test_an_unknown_conflicted_event_is_the_callers_mistake(room: RoomBuilder) -> None:
    with pytest.raises(LookupError, match="\\$nobody-knows"):
        resolve(room.version, [room.state, {**room.state, TOPIC: "$nobody-knows"}], None, room.events.get)


def test_unknown_events_of_the_auth_chains_are_done_without(room: RoomBuilder) -> None:
    one, two = topic(room.fork(), BOB, "One"), topic(room.fork(), BOB, "Two")
    known = {event_id: event for event_id, event in room.events.items() if event_id in {*one.state.values()}}
    known[two.state[TOPIC]] = room.events[two.state[TOPIC]]
    assert resolve(room.version, [one.state, two.state], None, known.get)[TOPIC] == two.state[TOPIC]


def test_the_caller_may_bring_auth_chains_from_an_index(room: RoomBuilder) -> None:
    one, two = topic(room.fork(), BOB, "One"), room.fork().member(BOB, "ban", by=ALICE)
    chain_of = walk_auth_chain(EventLookup(ROOM_VERSIONS["11"], room.events.get, ()))
    states = [one.state, two.state]
    assert resolve(room.version, states, chain_of, room.events.get) == resolved(one, two)

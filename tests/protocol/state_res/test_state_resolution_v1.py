"""State resolution version 1 (room version 1), resets included."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest

from homeserver.protocol.events import StateKey
from homeserver.protocol.state_res import resolve
from tests.protocol.factory import ALICE, BOB, CHARLIE, MALLORY, RoomBuilder, resolved

TOPIC = ("m.room.topic", "")
LEVELS = ("m.room.power_levels", "")
JOIN_RULES = ("m.room.join_rules", "")


def member(user: str) -> StateKey:
    return ("m.room.member", user)


@pytest.fixture
def room() -> RoomBuilder:
    """A public room of Alice (100), Bob (50) and Charlie (0)."""
    return RoomBuilder("1").power_levels({BOB: 50}).join_rule("public").join(BOB, CHARLIE)


def levels(room: RoomBuilder, depth: int, by: str = ALICE, **content: Any) -> RoomBuilder:
    """Set power levels at this depth."""
    return room.set(by, "m.room.power_levels", {"users": {ALICE: 100, BOB: 50}, **content}, depth=depth)


def sha1(event_id: str) -> str:
    return hashlib.sha1(event_id.encode()).hexdigest()


def test_what_only_one_state_has_is_no_conflict(room: RoomBuilder) -> None:
    """Even if it would not be allowed: Mallory's topic needs no check."""
    one = room.fork().set(MALLORY, "m.room.topic", {"topic": "Mallory's"})
    two = room.fork().join("@dora:example.org")
    assert resolved(one, two) == {**one.state, **two.state}


def test_of_two_topics_the_deepest_that_is_allowed_stays(room: RoomBuilder) -> None:
    shallow = room.fork().set(BOB, "m.room.topic", {"topic": "Shallow"}, depth=50)
    deep = room.fork().set(BOB, "m.room.topic", {"topic": "Deep"}, depth=60)
    forbidden = room.fork().set(MALLORY, "m.room.topic", {"topic": "Forbidden"}, depth=70)
    assert resolved(shallow, deep, forbidden)[TOPIC] == deep.state[TOPIC]


def test_at_the_same_depth_the_lowest_sha1_stays(room: RoomBuilder) -> None:
    forks = [room.fork().set(BOB, "m.room.topic", {}, depth=50) for _ in range(4)]
    expected = min((fork.state[TOPIC] for fork in forks), key=sha1)
    assert resolved(*forks)[TOPIC] == expected


def test_when_no_topic_is_allowed_the_shallowest_stays(room: RoomBuilder) -> None:
    one = room.fork().set(MALLORY, "m.room.topic", {}, depth=60)
    two = room.fork().set(MALLORY, "m.room.topic", {}, depth=50)
    assert resolved(one, two)[TOPIC] == two.state[TOPIC]


def test_power_levels_are_followed_upwards_while_each_allows_the_next(room: RoomBuilder) -> None:
    base, up, higher = room.fork(), room.fork(), room.fork()
    levels(base, 50, ban=51)
    levels(up, 51, ban=52)
    levels(higher, 52, ban=53)
    assert resolved(higher, base, up)[LEVELS] == higher.state[LEVELS]
    stop = levels(room.fork(), 51, by=MALLORY, ban=0)
    assert resolved(higher, base, stop)[LEVELS] == base.state[LEVELS]


def test_join_rules_are_checked_against_the_resolved_power_levels(room: RoomBuilder) -> None:
    first = levels(room.fork(), 50, state_default=50)
    first.set(ALICE, "m.room.join_rules", {"join_rule": "invite"}, depth=51)
    second = levels(room.fork(), 60, state_default=100)
    second.set(BOB, "m.room.join_rules", {"join_rule": "knock"}, depth=61)
    result = resolved(first, second)
    assert result[LEVELS] == second.state[LEVELS]
    assert result[JOIN_RULES] == first.state[JOIN_RULES]


def test_memberships_are_checked_against_the_resolved_join_rules(room: RoomBuilder) -> None:
    dora = "@dora:example.org"
    gone = room.fork().set(BOB, "m.room.member", {"membership": "leave"}, dora, depth=50)
    back = room.fork().set(dora, "m.room.member", {"membership": "join"}, dora, depth=51)
    assert resolved(gone, back)[member(dora)] == back.state[member(dora)]
    gone.set(ALICE, "m.room.join_rules", {"join_rule": "invite"}, depth=60)
    assert resolved(gone, back)[member(dora)] == gone.state[member(dora)]


def test_memberships_of_one_pass_do_not_see_each_other(room: RoomBuilder) -> None:
    """All are resolved against what was there before the pass: so the order of the keys does not matter."""
    one, two = room.fork(), room.fork()
    one.set(BOB, "m.room.member", {"membership": "leave"}, BOB, depth=50)
    two.set(BOB, "m.room.member", {"membership": "join"}, BOB, depth=51)
    one.set(CHARLIE, "m.room.member", {"membership": "join", "displayname": "C"}, CHARLIE, depth=52)
    two.set(BOB, "m.room.member", {"membership": "ban"}, CHARLIE, depth=53)
    backwards = [dict(reversed(state.items())) for state in (one.state, two.state)]
    result = resolved(one, two)
    assert result == resolve(room.version, backwards, None, room.events.get)
    assert result[member(CHARLIE)] == one.state[member(CHARLIE)], "Bob's membership is not in R yet"


def test_the_events_own_auth_events_do_not_count(room: RoomBuilder) -> None:
    """Unlike in version 2: Bob's membership is conflicting, so in R he is not there to change the power levels."""
    content = {"users": {ALICE: 100, BOB: 50}, "events": {"m.room.name": 10}}
    one = levels(room.fork(), 50).member(BOB, "join", displayname="B")
    two = room.fork().set(BOB, "m.room.power_levels", content, depth=51)
    assert resolved(one, two)[LEVELS] == one.state[LEVELS]
    one.state[member(BOB)] = two.state[member(BOB)]
    assert resolved(one, two)[LEVELS] == two.state[LEVELS]

"""The two orderings, the auth difference, and rooms whose auth events form a circle."""

from __future__ import annotations

import pytest

from homeserver.protocol.events import Event
from homeserver.protocol.room_versions import ROOM_VERSIONS
from homeserver.protocol.state_res import (
    EventLookup,
    auth_difference,
    resolve,
    split_conflicted,
    walk_auth_chain,
)
from homeserver.protocol.state_res.ordering import (
    is_power_event,
    mainline_ordering,
    reverse_topological_power_ordering,
)
from tests.protocol.factory import ALICE, BOB, CHARLIE, RoomBuilder, make_event

RULES = ROOM_VERSIONS["11"]
LEVELS = ("m.room.power_levels", "")


def lookup_of(room: RoomBuilder) -> EventLookup:
    return EventLookup(room.version, room.events.get, ())


# --- Power events -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("event_type", "sender", "state_key", "content", "expected"),
    [
        ("m.room.power_levels", ALICE, "", {}, True),
        ("m.room.join_rules", ALICE, "", {}, True),
        ("m.room.member", ALICE, BOB, {"membership": "ban"}, True),
        ("m.room.member", ALICE, BOB, {"membership": "leave"}, True),
        ("m.room.member", BOB, BOB, {"membership": "leave"}, False),
        ("m.room.member", ALICE, BOB, {"membership": "invite"}, False),
        ("m.room.member", ALICE, BOB, {"membership": ["ban"]}, False),
        ("m.room.member", BOB, BOB, {"membership": "join"}, False),
        ("m.room.topic", ALICE, "", {}, False),
        ("m.room.power_levels", ALICE, None, {}, False),
    ],
)
def test_power_events_may_take_something_away(
    event_type: str, sender: str, state_key: str | None, content: dict[str, object], expected: bool
) -> None:
    event = make_event(RULES, "$x", event_type, sender, content, room_id="!r:a", state_key=state_key)
    assert is_power_event(event) is expected


# --- Reverse topological power ordering ---------------------------------------------------------------------------


def ordered_names(room: RoomBuilder, events: list[Event]) -> list[str]:
    forwards = reverse_topological_power_ordering(events, lookup_of(room))
    assert forwards == reverse_topological_power_ordering(events[::-1], lookup_of(room))
    return [event.event_id for event in forwards]


def test_auth_events_come_first_then_power_then_time_then_id() -> None:
    room = RoomBuilder("11").join(BOB, CHARLIE).power_levels({BOB: 50})
    weak = room.draft(CHARLIE, "m.x", state_key="", event_id="$weak", origin_server_ts=1)
    strong = room.draft(ALICE, "m.x", state_key="", event_id="$strong", origin_server_ts=9)
    early = room.draft(BOB, "m.x", state_key="", event_id="$early", origin_server_ts=2)
    a, b = (room.draft(BOB, "m.x", state_key="", event_id=name, origin_server_ts=3) for name in ("$a", "$b"))
    after_weak = room.draft(ALICE, "m.x", state_key="", event_id="$after", origin_server_ts=0, auth_event_ids=["$weak"])
    for event in (weak, strong, early, a, b, after_weak):
        room.events[event.event_id] = event
    names = ordered_names(room, [a, weak, b, after_weak, early, strong])
    assert names == ["$strong", "$early", "$a", "$b", "$weak", "$after"]


def test_a_circle_of_auth_events_ends_and_authorises_nothing() -> None:
    """Possible in room version 2 only, where ids are no hashes."""
    room = RoomBuilder("2").join(BOB)
    circle = [
        room.draft(BOB, "m.x", {}, "", event_id="$a:example.org", auth_event_ids=["$b:example.org"]),
        room.draft(BOB, "m.x", {}, "", event_id="$b:example.org", auth_event_ids=["$a:example.org"]),
    ]
    room.events.update({event.event_id: event for event in circle})
    assert ordered_names(room, circle) == []
    states = [{**room.state, ("m.x", ""): event.event_id} for event in circle]
    assert resolve(room.version, states, None, room.events.get).keys() >= room.state.keys()


# --- Mainline ordering --------------------------------------------------------------------------------------------


def test_mainline_older_levels_first_then_time_then_id() -> None:
    room = RoomBuilder("11").join(BOB)
    none = room.draft(BOB, "m.x", {}, "", event_id="$none", origin_server_ts=99)
    first = room.power_levels({BOB: 50}).state[LEVELS]
    old = room.draft(BOB, "m.x", {}, "", event_id="$old", origin_server_ts=50)
    room.power_levels({BOB: 50}, ban=51)
    new, newer = (room.draft(BOB, "m.x", {}, "", event_id=name, origin_server_ts=5) for name in ("$m", "$n"))
    newest = room.draft(BOB, "m.x", {}, "", event_id="$a", origin_server_ts=6)
    events = [newest, newer, none, new, old]
    for order in (events, events[::-1]):
        names = [event.event_id for event in mainline_ordering(order, room.state[LEVELS], lookup_of(room))]
        assert names == ["$none", "$old", "$m", "$n", "$a"]
    by_time = [event.event_id for event in mainline_ordering(events, None, lookup_of(room))]
    assert by_time == ["$m", "$n", "$a", "$old", "$none"]
    # Seen from the first levels, the second are no part of the mainline, but lead to it.
    names = [event.event_id for event in mainline_ordering(events, first, lookup_of(room))]
    assert names == ["$none", "$m", "$n", "$a", "$old"]


def test_mainline_power_levels_are_ordered_by_those_they_are_based_on() -> None:
    room = RoomBuilder("11")
    first = room.events[room.power_levels().state[LEVELS]]
    second = room.events[room.power_levels(ban=51).state[LEVELS]]
    third = room.events[room.power_levels(ban=52).state[LEVELS]]
    ordered = mainline_ordering([third, second, first], third.event_id, lookup_of(room))
    assert ordered == [first, second, third]


# --- Definitions --------------------------------------------------------------------------------------------------


def test_a_key_is_unconflicted_only_when_every_state_has_the_same() -> None:
    a, b, c = ("m.a", ""), ("m.b", ""), ("m.c", "")
    unconflicted, conflicted = split_conflicted([{a: "$1", b: "$2", c: "$3"}, {a: "$1", b: "$4"}])
    assert unconflicted == {a: "$1"}
    assert conflicted == {"$2", "$3", "$4"}


def test_the_auth_difference_is_what_not_all_full_chains_have() -> None:
    room = RoomBuilder("11").power_levels().join_rule("public").join(BOB)
    base = dict(room.state)
    other = room.fork().power_levels({BOB: 50})
    other.set(BOB, "m.room.topic", {"topic": "x"})
    states = [base, other.state]
    chain_of = walk_auth_chain(lookup_of(room))
    chains = [chain_of(state.values()) for state in states]
    literally = set().union(*chains) - set(chains[0]).intersection(*chains[1:])
    unconflicted, _ = split_conflicted(states)
    assert auth_difference(states, unconflicted, chain_of) == literally
    assert literally == {other.state[LEVELS], other.state["m.room.member", BOB]}

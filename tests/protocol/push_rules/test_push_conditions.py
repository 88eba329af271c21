"""Conditions: one by one, through a ruleset of one rule."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from homeserver.protocol.push_rules import KINDS, EventFacts, PushRule, ReaderFacts, RoomFacts, Ruleset, compile_ruleset
from tests.protocol.factory import ALICE, BOB

SMALL_ROOM = RoomFacts(2)


def holds(
    condition: dict[str, Any],
    content: dict[str, Any] | None = None,
    *,
    room: RoomFacts = SMALL_ROOM,
    display_name: str | None = None,
    **event: Any,
) -> bool:
    """Whether the condition holds for Bob when Alice sends this."""
    rule = PushRule("override", "r", ("notify",), (condition,))
    evaluator = compile_ruleset(Ruleset({**dict.fromkeys(KINDS, ()), "override": (rule,)}))
    fields = {"type": "m.room.message", "sender": ALICE, "room_id": "!r:a", "content": content or {}, **event}
    return evaluator.decide(EventFacts(fields, room)).for_reader(ReaderFacts(BOB, display_name)).notify


def event_match(key: str, pattern: Any) -> dict[str, Any]:
    return {"kind": "event_match", "key": key, "pattern": pattern}


def property_is(key: str, value: Any) -> dict[str, Any]:
    return {"kind": "event_property_is", "key": key, "value": value}


def property_contains(key: str, value: Any) -> dict[str, Any]:
    return {"kind": "event_property_contains", "key": key, "value": value}


# --- Unknown and misshapen ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "condition",
    [
        {"kind": "org.example.moon_phase"},
        {"kind": 5},
        {},
        {"kind": "event_match"},
        {"kind": "event_match", "key": "type"},
        event_match("type", 5),
        event_match("type", "m" * 256),
        {"kind": "event_match", "key": 5, "pattern": "*"},
        {"kind": "event_match", "key": "x" * 256, "pattern": "*"},
        {"kind": "event_property_is", "key": "content.x"},
        property_is("content", {}),
        property_is("content.x", [1]),
        property_is("content.x", 1.5),
        property_is("content.x", 2**53),
        property_contains("content.x", []),
        {"kind": "room_member_count"},
        {"kind": "room_member_count", "is": 2},
        {"kind": "sender_notification_permission"},
    ],
    ids=str,
)
def test_what_is_unknown_or_makes_no_sense_never_matches(condition: dict[str, Any]) -> None:
    assert not holds(condition, {"x": [1, [], 1.5, 2**53]})


# --- event_match --------------------------------------------------------------------------------------------------


def test_event_match_compares_the_whole_value_without_case() -> None:
    assert holds(event_match("content.topic", "lunc?*"), {"topic": "LUNCH"})
    assert not holds(event_match("content.topic", "lunc?*"), {"topic": " lunch"})
    assert holds(event_match("type", "M.ROOM.*"))
    assert holds(event_match("room_id", "!r:a"))


@pytest.mark.parametrize("content", [{}, {"topic": None}, {"topic": 5}, {"topic": ["x"]}, {"topic": {"x": "y"}}])
def test_event_match_needs_a_text(content: dict[str, Any]) -> None:
    assert not holds(event_match("content.topic", "*"), content)


def test_event_match_in_the_body_looks_for_words() -> None:
    assert holds(event_match("content.body", "cake"), {"body": "The CAKE is a lie"})
    assert holds(event_match("content.body", "cake*lie"), {"body": "The cake is a lie"})
    assert not holds(event_match("content.body", "cake"), {"body": "cakes"})
    assert not holds(event_match("content.body", "cake"), {"body": 5})
    assert not holds(event_match("content.formatted_body", "cake"), {"formatted_body": "a cake"})


def test_keys_with_dots_are_escaped() -> None:
    content = {"m.relates_to": {"rel_type": "m.thread"}}
    assert holds(event_match(r"content.m\.relates_to.rel_type", "m.thread"), content)
    assert not holds(event_match("content.m.relates_to.rel_type", "m.thread"), content)


def test_there_is_no_implicit_state_key() -> None:
    assert not holds(event_match("state_key", ""))
    assert holds(event_match("state_key", ""), state_key="")


# --- event_property_is and _contains ------------------------------------------------------------------------------


@pytest.mark.parametrize("value", ["text", "", 5, 0, -(2**53) + 1, True, False, None])
def test_a_property_is_exactly_the_value(value: Any) -> None:
    assert holds(property_is("content.x", value), {"x": value})
    assert holds(property_contains("content.x", value), {"x": ["other", value]})
    assert not holds(property_is("content.x", value), {})
    assert not holds(property_is("content.x", value), {"x": [value]})
    assert not holds(property_contains("content.x", value), {"x": value})


@pytest.mark.parametrize(
    ("value", "other"), [(True, "true"), (True, 1), (1, True), (0, False), (None, "null"), ("a", "A"), (1, 1.0)]
)
def test_types_are_not_cast_and_case_counts(value: Any, other: Any) -> None:
    assert not holds(property_is("content.x", value), {"x": other})
    assert not holds(property_contains("content.x", value), {"x": [other]})


def test_a_part_of_an_entry_is_not_contained() -> None:
    assert not holds(property_contains("content.alt_aliases", ":example.com"), {"alt_aliases": ["#room:example.com"]})


# --- contains_display_name ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "body", "expected"),
    [
        ("Bob", "hello bob!", True),
        ("Bob", "hello bobby", False),
        ("Bob Builder", "is BOB BUILDER here?", True),
        ("Bob*", "Bobby", False),
        ("Bob*", "it is Bob* himself", True),
        ("B?b", "Bob", False),
        ("", "anything", False),
        (None, "anything", False),
        ("Bob", 5, False),
    ],
)
def test_the_display_name_is_a_text_not_a_pattern(name: str | None, body: Any, expected: bool) -> None:
    assert holds({"kind": "contains_display_name"}, {"body": body}, display_name=name) is expected


# --- room_member_count --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("comparison", "counts"),
    [
        ("2", [2]),
        ("==2", [2]),
        ("<2", [0, 1]),
        (">2", [3]),
        ("<=2", [0, 1, 2]),
        (">=2", [2, 3]),
        ("", []),
        ("= 2", []),
        ("two", []),
        ("-2", []),
        ("2 ", []),
        ("9" * 16, []),
        ("!=2", []),
    ],
)
def test_members_are_counted(comparison: str, counts: list[int]) -> None:
    condition = {"kind": "room_member_count", "is": comparison}
    assert [count for count in range(4) if holds(condition, room=RoomFacts(count))] == counts


# --- sender_notification_permission -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("level", "levels", "expected"),
    [
        (50, {}, True),
        (49, {}, False),
        (10, {"room": 10}, True),
        (9, {"room": 10}, False),
        (50, {"other": 100}, True),
        (10, {"room": "10"}, True),
        (49, {"room": "nonsense"}, False),
        (50, {"room": "nonsense"}, True),
        (49, {"room": None}, False),
        (49, {"room": True}, False),
        (float("inf"), {"room": 2**53 - 1}, True),
        (100, {"room": "9" * 30}, True),
    ],
)
def test_the_sender_needs_the_notification_level(level: float, levels: dict[str, Any], expected: bool) -> None:
    """In a version 12 room a creator has `inf`."""
    room = RoomFacts(5, level, levels)
    assert holds({"kind": "sender_notification_permission", "key": "room"}, room=room) is expected


# --- Anything at all ----------------------------------------------------------------------------------------------

WORDS = st.sampled_from(["kind", "key", "pattern", "value", "is", "content.body", "event_match", "event_property_is"])
ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=4) | WORDS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS | st.text(max_size=2), inner, max_size=4),
    max_leaves=6,
)
KINDS_OF_CONDITION = st.sampled_from(
    [
        "event_match",
        "event_property_is",
        "event_property_contains",
        "contains_display_name",
        "room_member_count",
        "sender_notification_permission",
    ]
)
CONDITIONS = st.dictionaries(st.sampled_from(["key", "pattern", "value", "is"]), ANY_JSON)


@given(KINDS_OF_CONDITION, CONDITIONS, ANY_JSON, st.text(max_size=4))
@settings(max_examples=150, derandomize=True, deadline=None)
def test_whatever_conditions_and_events_come_the_answer_is_yes_or_no(
    kind: str, condition: dict[str, Any], content: Any, display_name: str
) -> None:
    assert holds({**condition, "kind": kind}, content, display_name=display_name) in (True, False)

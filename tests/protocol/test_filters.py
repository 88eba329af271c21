"""Filters: parsed, matched, and what is refused."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from homeserver.protocol.errors import BadJson, InvalidParam, MatrixError
from homeserver.protocol.filters import Filter, RoomEventFilter, parse_filter, parse_room_event_filter, pick_fields
from homeserver.protocol.filters.parsing import MAX_EVENT_FIELDS, MAX_NAMES, MAX_STARS, MAX_TYPES
from homeserver.protocol.push_rules.paths import parse_path
from tests.protocol.factory import ALICE, BOB, MALLORY

ROOM, OTHER_ROOM = "!tea:example.org", "!Rqnc-F-dvnEYJTyHq_iKxU2bZ1CI92-kuZq3a5lr5Zg"


@dataclass
class AnEvent:
    """What a filter looks at."""

    type: str = "m.room.message"
    sender: str = ALICE
    room_id: str = ROOM
    content: dict[str, Any] = field(default_factory=dict)


# --- Matching -----------------------------------------------------------------------------------------------------


def test_the_empty_filter_lets_everything_through() -> None:
    assert parse_filter({}) == Filter()
    assert parse_room_event_filter({}) == RoomEventFilter()
    everything = RoomEventFilter()
    assert everything.is_open
    assert everything.matches("any.type", MALLORY, True, ROOM)
    assert everything.matches_event(AnEvent())
    assert Filter().room.includes(ROOM)
    assert Filter().presence.matches("m.presence", ALICE)


@pytest.mark.parametrize(
    ("pattern", "event_type", "expected"),
    [
        ("m.room.message", "m.room.message", True),
        ("m.room.message", "m.room.message2", False),
        ("m.room.*", "m.room.message", True),
        ("m.room.*", "m.room.", True),
        ("m.room.*", "mXroom.x", False),
        ("*", "", True),
        ("*.member", "m.room.member", True),
        ("*.member", "m.room.members", False),
        ("m.*.m*r", "m.room.member", True),
        ("*a*a*", "a", False),
        ("a*a", "a", False),
        ("**", "x\ny", True),
        ("?", "x", False),
        ("M.ROOM.*", "m.room.x", False),
    ],
)
def test_a_star_is_any_sequence_of_characters(pattern: str, event_type: str, expected: bool) -> None:
    assert parse_room_event_filter({"types": [pattern]}).matches(event_type) is expected
    assert parse_room_event_filter({"types": ["no.such", pattern]}).matches(event_type) is expected
    assert parse_room_event_filter({"not_types": [pattern]}).matches(event_type) is not expected


def test_what_is_excluded_is_excluded_even_if_included() -> None:
    chosen = parse_room_event_filter(
        {
            "types": ["m.*", "org.example"],
            "not_types": ["m.room.*"],
            "senders": [ALICE, BOB],
            "not_senders": [BOB],
            "rooms": [ROOM, OTHER_ROOM],
            "not_rooms": [OTHER_ROOM],
        }
    )
    assert chosen.matches_event(AnEvent("m.sticker"))
    assert chosen.matches_event(AnEvent("org.example"))
    for unwanted in (
        AnEvent("m.room.message"),
        AnEvent("other"),
        AnEvent("m.sticker", BOB),
        AnEvent("m.sticker", MALLORY),
        AnEvent("m.sticker", ALICE, OTHER_ROOM),
        AnEvent("m.sticker", ALICE, "!third:example.org"),
    ):
        assert not chosen.matches_event(unwanted)


def test_an_empty_list_includes_nothing_and_excludes_nothing() -> None:
    for key in ("types", "senders", "rooms"):
        assert not parse_room_event_filter({key: []}).matches_event(AnEvent())
        assert parse_room_event_filter({f"not_{key}": []}).is_open
    assert not parse_filter({"room": {"rooms": []}}).room.includes(ROOM)


def test_contains_url_is_about_the_key() -> None:
    with_url, without = AnEvent(content={"url": None}), AnEvent(content={"body": "url"})
    wanted, unwanted = parse_room_event_filter({"contains_url": True}), parse_room_event_filter({"contains_url": False})
    assert [wanted.matches_event(event) for event in (with_url, without)] == [True, False]
    assert [unwanted.matches_event(event) for event in (with_url, without)] == [False, True]
    assert not wanted.is_open


def test_the_content_is_not_parsed_unless_somebody_asks() -> None:
    class Sealed(AnEvent):
        @property
        def content(self) -> dict[str, Any]:  # type: ignore[override]
            raise AssertionError("the content was looked at")

        @content.setter
        def content(self, value: dict[str, Any]) -> None:
            pass

    assert parse_room_event_filter({"types": ["m.*"]}).matches_event(Sealed())
    assert RoomEventFilter().matches_event(Sealed())


def test_what_is_not_given_is_not_looked_at() -> None:
    chosen = parse_room_event_filter({"types": ["m.*"], "senders": [ALICE], "rooms": [ROOM], "contains_url": True})
    assert chosen.matches("m.typing")
    assert not chosen.matches("m.typing", BOB)
    account_data = parse_filter({"account_data": {"types": ["m.*"], "senders": [ALICE]}}).account_data
    assert account_data.matches("m.direct")
    assert not account_data.matches("m.direct", BOB)
    assert not account_data.matches("org.example")


@pytest.mark.parametrize("chosen", [{"rooms": [ROOM]}, {"not_rooms": [OTHER_ROOM]}])
def test_whole_rooms_are_left_out(chosen: dict[str, Any]) -> None:
    room = parse_filter({"room": chosen}).room
    assert room.includes(ROOM)
    assert not room.includes(OTHER_ROOM)


# --- Parsing ------------------------------------------------------------------------------------------------------


def test_every_part_is_read() -> None:
    parsed = parse_filter(
        {
            "event_fields": ["content.body", r"content.m\.relates_to", "type"],
            "event_format": "federation",
            "presence": {"not_types": ["*"], "limit": 5},
            "account_data": {"senders": [ALICE]},
            "room": {
                "include_leave": True,
                "timeline": {"limit": 7, "unread_thread_notifications": True},
                "state": {"lazy_load_members": True, "include_redundant_members": True},
                "ephemeral": {"types": ["m.receipt"]},
                "account_data": {"not_types": ["m.tag"]},
            },
            "org.example.unknown": {},
        }
    )
    assert parsed.event_fields == (("content", "body"), ("content", "m.relates_to"), ("type",))
    assert parsed.event_format == "federation"
    assert not parsed.presence.matches("m.presence")
    assert parsed.presence.limit == 5
    assert not parsed.account_data.matches("m.direct", BOB)
    assert parsed.room.include_leave
    assert (parsed.room.timeline.limit, parsed.room.timeline.unread_thread_notifications) == (7, True)
    assert (parsed.room.state.lazy_load_members, parsed.room.state.include_redundant_members) == (True, True)
    assert parsed.room.ephemeral.matches("m.receipt")
    assert not parsed.room.ephemeral.matches("m.typing")
    assert not parsed.room.account_data.matches("m.tag")


def test_relations_are_a_question_to_the_storage() -> None:
    assert not RoomEventFilter().asks_for_relations
    chosen = parse_room_event_filter({"related_by_senders": [ALICE], "related_by_rel_types": ["m.thread"]})
    assert chosen.asks_for_relations
    assert (chosen.related_by_senders, chosen.related_by_rel_types) == ((ALICE,), ("m.thread",))


def test_a_limit_has_a_default_and_a_maximum() -> None:
    assert RoomEventFilter().limit_within(10, 100) == 10
    assert parse_room_event_filter({"limit": 50}).limit_within(10, 100) == 50
    assert parse_room_event_filter({"limit": 0}).limit_within(10, 100) == 0
    assert parse_room_event_filter({"limit": 10**12}).limit_within(10, 100) == 100


@pytest.mark.parametrize(
    "value",
    [
        None,
        [],
        "text",
        5,
        {"room": []},
        {"room": None},
        {"presence": "not an object"},
        {"account_data": 5},
        {"room": {"timeline": "not an object"}},
        {"room": {"state": []}},
        {"room": {"ephemeral": 5}},
        {"room": {"account_data": True}},
        {"room": {"timeline": {"rooms": "not a list"}}},
        {"room": {"timeline": {"rooms": [5]}}},
        {"room": {"include_leave": "yes"}},
        {"room": {"timeline": {"types": "m.*"}}},
        {"room": {"timeline": {"not_types": [None]}}},
        {"room": {"timeline": {"limit": "5"}}},
        {"room": {"timeline": {"limit": 1.5}}},
        {"room": {"timeline": {"limit": True}}},
        {"room": {"timeline": {"contains_url": "yes"}}},
        {"room": {"state": {"lazy_load_members": 1}}},
        {"room": {"state": {"include_redundant_members": "x"}}},
        {"room": {"timeline": {"unread_thread_notifications": []}}},
        {"room": {"timeline": {"related_by_senders": ALICE}}},
        {"presence": {"senders": "not a list"}},
        {"event_fields": "content.body"},
        {"event_fields": [["content"]]},
        {"event_format": "telegram"},
        {"event_format": None},
        {"event_format": ["client"]},
    ],
    ids=str,
)
def test_wrong_types_are_bad_json(value: object) -> None:
    with pytest.raises(BadJson):
        parse_filter(value)


@pytest.mark.parametrize(
    "value",
    [
        {"room": {"rooms": ["not a room id"]}},
        {"room": {"timeline": {"not_rooms": [ALICE]}}},
        {"presence": {"senders": ["not a user id"]}},
        {"room": {"timeline": {"not_senders": [ROOM]}}},
        {"room": {"timeline": {"related_by_senders": ["bob"]}}},
        {"room": {"timeline": {"limit": -5}}},
        {"room": {"timeline": {"types": ["x" * 256]}}},
        {"room": {"timeline": {"types": ["m.x"] * (MAX_TYPES + 1)}}},
        {"presence": {"senders": [ALICE] * (MAX_NAMES + 1)}},
        {"event_fields": ["x"] * (MAX_EVENT_FIELDS + 1)},
    ],
    ids=lambda value: str(value)[:60],
)
def test_malformed_and_too_much_is_an_invalid_parameter(value: object) -> None:
    with pytest.raises(InvalidParam):
        parse_filter(value)


# --- event_fields -------------------------------------------------------------------------------------------------

EVENT = {
    "type": "m.room.message",
    "sender": ALICE,
    "content": {"body": "hi", "m.relates_to": {"rel_type": "m.thread", "event_id": "$x"}, "list": [1]},
}


@pytest.mark.parametrize(
    ("paths", "picked"),
    [
        ([], {}),
        (["type"], {"type": "m.room.message"}),
        (["content.body"], {"content": {"body": "hi"}}),
        ([r"content.m\.relates_to.rel_type"], {"content": {"m.relates_to": {"rel_type": "m.thread"}}}),
        (["content.m.relates_to"], {}),
        (["content.body.x", "content.list.0", "content.none", "none.x", "none"], {}),
        (["content", "content.body"], {"content": EVENT["content"]}),
        (["content.body", "content"], {"content": EVENT["content"]}),
        (["content.body", "content.list"], {"content": {"body": "hi", "list": [1]}}),
    ],
)
def test_only_the_wanted_fields(paths: list[str], picked: dict[str, Any]) -> None:
    before = repr(EVENT)
    assert pick_fields(EVENT, [parse_path(path) for path in paths]) == picked
    assert repr(EVENT) == before, "the event itself was changed"


# --- Anything at all ----------------------------------------------------------------------------------------------

KEYS = st.sampled_from(
    ["room", "timeline", "state", "presence", "types", "not_types", "senders", "rooms", "limit", "event_fields"]
)
ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=4) | st.sampled_from([ALICE, ROOM, "m.*"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=8,
)


@given(st.dictionaries(KEYS, ANY_JSON))
@settings(max_examples=100, derandomize=True, deadline=None)
def test_mallory_sends_any_filter(value: dict[str, Any]) -> None:
    for parse in (parse_filter, parse_room_event_filter):
        try:
            parsed = parse(value)
        except MatrixError:
            continue
        chosen = parsed.room.timeline if isinstance(parsed, Filter) else parsed
        assert isinstance(chosen.matches_event(AnEvent()), bool)


@given(st.lists(st.text("a.*", max_size=6), max_size=3), st.text("a.\n", max_size=8))
@settings(max_examples=250, derandomize=True, deadline=None)
def test_patterns_agree_with_the_definition(patterns: list[str], event_type: str) -> None:
    expected = any(
        re.fullmatch(".*".join(map(re.escape, pattern.split("*"))), event_type, re.DOTALL) for pattern in patterns
    )
    assert parse_room_event_filter({"types": patterns}).matches(event_type) is expected


def test_mallory_cannot_make_a_pattern_slow() -> None:
    chosen = parse_room_event_filter({"types": ["a*" * MAX_STARS + "b", *(["c"] * (MAX_TYPES - 1))]})
    started = time.process_time()
    for _ in range(1000):
        assert not chosen.matches("a" * 255)
        assert chosen.matches("a" * 254 + "b")
    assert time.process_time() - started < 2
    with pytest.raises(InvalidParam):
        parse_room_event_filter({"not_types": ["a*" * 50, "*" * 51]})

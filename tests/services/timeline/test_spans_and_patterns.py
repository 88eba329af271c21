"""Which stretches of a timeline are read, and how a filter's patterns become SQL's."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from homeserver.protocol.filters import parse_room_event_filter
from homeserver.protocol.visibility import EVERYTHING
from homeserver.services.timeline.spans import LOWEST, spans_within
from homeserver.services.timeline.wanted import like, wanted_by

RANGES = ((1, 5), (10, 10), (20, 30))


def test_spans_are_cut_to_what_was_asked_for() -> None:
    assert spans_within(RANGES, 0, 100, newest_first=False) == [(0, 5), (9, 10), (19, 30)]
    assert spans_within(RANGES, 3, 25, newest_first=True) == [(19, 25), (9, 10), (3, 5)]
    assert spans_within(RANGES, 5, 9, newest_first=False) == []
    assert spans_within(RANGES, 30, 100, newest_first=False) == []
    assert spans_within(EVERYTHING.ranges, LOWEST, 7, newest_first=True) == [(LOWEST, 7)]
    assert spans_within((), 0, 100, newest_first=True) == []


@given(
    bounds=st.lists(st.integers(-50, 50), unique=True).filter(lambda b: len(b) % 2 == 0).map(sorted),
    after=st.integers(-60, 60),
    up_to=st.integers(-60, 60),
)
def test_spans_hold_exactly_the_visible_positions(bounds: list[int], after: int, up_to: int) -> None:
    ranges = [(bounds[i], bounds[i + 1]) for i in range(0, len(bounds), 2)]
    expected = [p for p in range(after + 1, up_to + 1) if any(first <= p <= last for first, last in ranges)]
    spans = spans_within(ranges, after, up_to, newest_first=False)
    assert [p for low, high in spans for p in range(low + 1, high + 1)] == expected
    assert spans_within(ranges, after, up_to, newest_first=True) == spans[::-1]


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [("m.room.*", "m.room.%"), ("*", "%"), ("a_b%c*", "a\\_b\\%c%"), ("back\\slash*", "back\\\\slash%")],
)
def test_stars_are_the_only_wildcards(pattern: str, expected: str) -> None:
    assert like(pattern) == expected


def test_an_open_filter_asks_sql_nothing() -> None:
    assert wanted_by(parse_room_event_filter({"lazy_load_members": True, "limit": 5})) is None
    asked = wanted_by(parse_room_event_filter({"related_by_rel_types": ["m.thread"]}))
    assert asked is not None
    assert asked.related

"""One counter for many writers: readers are told of a position when everything below it is there, holes or not."""

from __future__ import annotations

from homeserver.storage.positions import StreamPosition

OVER = 2**30


def test_a_late_writer_holds_the_stream_back() -> None:
    stream = StreamPosition("events", 5)
    first, second = stream.reserve(), stream.reserve(2)
    stream.finish(second)
    assert stream.current == 5
    stream.finish(first)
    assert stream.current == 8


def test_a_leap_costs_nothing_and_is_crossed_with_the_position_behind_it() -> None:
    stream = StreamPosition("events", 5)
    low = stream.leap(OVER)
    (high,) = stream.reserve()
    assert (low, high) == (5, 6 + OVER)
    assert stream.current == 5
    stream.finish([high])
    assert stream.current == high
    stream.finish(stream.reserve(2))
    assert stream.current == high + 2


def test_whoever_writes_below_a_leap_is_waited_for() -> None:
    stream = StreamPosition("events", 5)
    late = stream.reserve()
    assert stream.leap(OVER) == 6
    high = stream.reserve()
    stream.finish(high)
    assert stream.current == 5
    stream.finish(late)
    assert stream.current == high[0]


def test_two_leaps_with_nothing_between_are_one() -> None:
    stream = StreamPosition("events", 5)
    stream.leap(OVER)
    assert stream.leap(OVER) == 5 + OVER
    (high,) = stream.reserve()
    stream.finish([high])
    assert stream.current == high == 6 + 2 * OVER


def test_leaps_follow_each_other() -> None:
    stream = StreamPosition("events")
    places = []
    for _ in range(3):
        low = stream.leap(OVER)
        (high,) = stream.reserve()
        places.append((low, high))
    stream.finish([high for _, high in reversed(places)])
    assert stream.current == places[-1][1]
    assert [high - low for low, high in places] == [OVER + 1] * 3

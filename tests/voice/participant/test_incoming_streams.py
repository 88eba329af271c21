"""Counting what comes in."""

from __future__ import annotations

import random

import pytest

from voice.participant.incoming import IncomingStream

MS = 1_000_000


def received(sequences: list[int], start: int = 0) -> IncomingStream:
    """Packets of 20 ms that arrive every 20 ms, in this order."""
    stream = IncomingStream(7)
    for place, sequence in enumerate(sequences):
        stream.arrived((start + sequence) & 0xFFFF, (start + sequence) * 960 & 0xFFFFFFFF, 100, place * 20 * MS)
    return stream


def test_nothing_is_lost_when_everything_came() -> None:
    stream = received(list(range(100)))
    assert (stream.packets, stream.expected, stream.lost, stream.duplicates, stream.reordered) == (100, 100, 0, 0, 0)
    assert stream.octets == 10_000
    assert stream.jitter == 0


def test_gaps_are_losses_until_they_are_filled() -> None:
    stream = received([0, 1, 4, 5])
    assert stream.lost == 2
    stream.arrived(2, 2 * 960, 100, 90 * MS)
    assert stream.lost == 1
    assert stream.reordered == 1


def test_a_gap_is_reported_once() -> None:
    stream = received([0])
    assert list(stream.arrived(3, 0, 1, 0)) == [1, 2]
    assert list(stream.arrived(4, 0, 1, 0)) == []


def test_the_same_packet_twice_is_a_duplicate_and_no_gain() -> None:
    stream = received([0, 1, 1, 3, 3, 2, 2])
    assert (stream.expected, stream.lost, stream.duplicates, stream.reordered) == (4, 0, 3, 1)


@pytest.mark.parametrize("start", [0, 40_000, 65_500])
def test_numbers_that_wrap_go_on(start: int) -> None:
    stream = received(list(range(200)), start)
    assert (stream.expected, stream.lost) == (200, 0)
    assert stream.jitter == 0


def test_an_early_packet_that_was_overtaken_counts() -> None:
    stream = received([1, 0, 2])
    assert (stream.expected, stream.lost, stream.reordered) == (3, 0, 1)


def test_any_order_with_any_duplicates_adds_up() -> None:
    dice = random.Random(3)
    for _ in range(50):
        kept = [number for number in range(300) if number in (0, 299) or dice.random() > 0.1]
        arriving = kept + dice.sample(kept, 20)
        arriving.sort(key=lambda number: number + dice.uniform(0, 12))
        stream = received(arriving, start=65_400)
        assert stream.expected == 300
        assert stream.lost == 300 - len(kept)
        assert stream.duplicates == 20


def test_jitter_is_that_of_rfc_3550() -> None:
    """Every other packet 5 ms late: differences of 240 units, which the filter approaches."""
    stream = IncomingStream(7)
    for number in range(400):
        stream.arrived(number, number * 960, 100, (number * 20 + 5 * (number % 2)) * MS)
    assert 4.9 < stream.jitter_ms < 5.1


def test_latency_and_the_longest_silence() -> None:
    stream = IncomingStream(7)
    for number in range(100):
        stream.arrived(number, 0, 100, number * 20 * MS)
        stream.sampled(number * 20 * MS, number * 20 * MS + number * MS)
    stream.arrived(100, 0, 100, 5_000 * MS)
    assert stream.latency_ms(0.5) == 50
    assert stream.latency_ms(1.0) == 99
    assert stream.longest_gap_ns == (5_000 - 99 * 20) * MS

"""Which gap may have something closer to a moment, and what counts as closer."""

from __future__ import annotations

from homeserver.federation.history_at_time import gap_beside, is_closer
from homeserver.services.timeline.event_at_time import FoundEvent
from homeserver.storage.timeline_gaps import Gap

OLD, NEW = Gap(100, 200, ("$a",)), Gap(300, 400, ("$b",))


def found(position: int, time_ms: int = 0) -> FoundEvent:
    return FoundEvent("$x", time_ms, position)


def test_looking_forwards_the_gap_before_what_was_found() -> None:
    for position, expected in ((50, None), (100, None), (200, OLD), (250, OLD), (400, NEW), (500, NEW)):
        assert gap_beside([NEW, OLD], found(position), forwards=True) == expected
    assert gap_beside([NEW, OLD], None, forwards=True) is None


def test_looking_backwards_the_gap_after_what_was_found() -> None:
    for position, expected in ((50, OLD), (100, OLD), (200, NEW), (300, NEW), (400, None)):
        assert gap_beside([NEW, OLD], found(position), forwards=False) == expected
    assert gap_beside([NEW, OLD], None, forwards=False) == OLD
    assert gap_beside([], None, forwards=False) is None


def test_what_is_closer() -> None:
    assert is_closer(5, 5, None, forwards=True)
    assert is_closer(6, 5, found(1, 7), forwards=True)
    assert not is_closer(7, 5, found(1, 7), forwards=True)
    assert not is_closer(4, 5, None, forwards=True)
    assert is_closer(4, 5, found(1, 3), forwards=False)
    assert not is_closer(3, 5, found(1, 3), forwards=False)
    assert not is_closer(6, 5, None, forwards=False)

"""Repetitions: what was sent is kept for a while, and given again to who misses it, not without measure."""

from __future__ import annotations

from dataclasses import dataclass, field

MAX_REPEATS = 4
"""Of one packet to one subscriber."""
MIN_REPEAT_NS = 10_000_000
REMEMBERED = 1024
"""Packets whose repetitions to one subscriber are counted: as many as are kept, or counts would be forgotten first."""
REPEATS_PER_SECOND = 256
"""Of one track to one subscriber, and at once. Asking is a few bytes, what is asked for a thousand times as much."""


@dataclass(slots=True)
class Repeats:
    """How often which packet was repeated to one subscriber, and when last."""

    _counts: dict[int, tuple[int, int]] = field(default_factory=dict)
    _left: float = REPEATS_PER_SECOND
    _refilled_ns: int = 0

    def exhausted(self, now_ns: int) -> bool:
        """More than enough was repeated lately; to be asked before `allow`."""
        passed = now_ns - self._refilled_ns
        self._refilled_ns = now_ns
        self._left = min(float(REPEATS_PER_SECOND), self._left + passed * REPEATS_PER_SECOND / 1e9)
        return self._left < 1

    def allow(self, number: int, now_ns: int, rtt_ms: float) -> bool:
        """Whether it is to be repeated now: a few times, and not before the last repetition can have come."""
        if self._left < 1:
            return False
        count, last_ns = self._counts.pop(number, (0, 0))
        early = count and now_ns - last_ns < max(MIN_REPEAT_NS, int(rtt_ms * 900_000))
        if early or count >= MAX_REPEATS:
            self._counts[number] = (count, last_ns)
            return False
        while len(self._counts) >= REMEMBERED:
            del self._counts[next(iter(self._counts))]
        self._counts[number] = (count + 1, now_ns)
        self._left -= 1
        return True

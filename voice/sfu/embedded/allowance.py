"""So much in a second, and no more: for what is cheap to send and dear to receive."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class Allowance:
    """A bucket that is full at the start and holds one second's worth. Times are monotonic nanoseconds."""

    per_second: float
    _left: float = -1.0
    _at_ns: int = 0

    def take(self, now_ns: int, cost: float = 1.0) -> bool:
        """False where it is too much; nothing is taken then."""
        if self._left < 0:
            self._left = self.per_second
        else:
            self._left = min(self.per_second, self._left + (now_ns - self._at_ns) * self.per_second / 1e9)
        self._at_ns = now_ns
        if cost > self._left:
            return False
        self._left -= cost
        return True

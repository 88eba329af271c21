"""A token bucket."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class Rate:
    """`per_second` on average, `burst` at once."""

    per_second: float
    burst: float
    _left: float = -1
    _at_ms: int = 0

    def take(self, now_ms: int, cost: float = 1) -> bool:
        """False where it is too much; nothing is taken then."""
        if self._left < 0:
            self._left = self.burst
        else:
            self._left = min(self.burst, self._left + (now_ms - self._at_ms) * self.per_second / 1000)
        self._at_ms = now_ms
        if cost > self._left:
            return False
        self._left -= cost
        return True

"""The two clocks of a worker."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass


def _wall_ms() -> int:
    return time.time_ns() // 1_000_000


@dataclass(frozen=True, slots=True)
class Clock:
    """Wall time is for tokens and for people, monotonic time for everything that waits: wall clocks jump."""

    wall_ms: Callable[[], int] = _wall_ms
    monotonic_ns: Callable[[], int] = time.monotonic_ns

    def monotonic_ms(self) -> int:
        return self.monotonic_ns() // 1_000_000

"""The clock as a value: services ask it, tests advance it (style rule 13)."""

from __future__ import annotations

import asyncio
import time
from typing import Protocol


class Clock(Protocol):
    """Wall-clock time and waiting. Tests hand in a `FakeClock` (tests/clock.py) and advance it instead of sleeping."""

    def now_ms(self) -> int:
        """Milliseconds since the Unix epoch, the unit of every time in Matrix and in our database."""
        ...

    async def sleep(self, *, ms: int) -> None:
        """Return once `ms` milliseconds of this clock have passed."""
        ...


class SystemClock:
    """The computer's own clock."""

    __slots__ = ()

    def now_ms(self) -> int:
        return time.time_ns() // 1_000_000

    async def sleep(self, *, ms: int) -> None:
        await asyncio.sleep(ms / 1000)

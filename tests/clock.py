"""A clock that stands still until a test advances it."""

from __future__ import annotations

import asyncio
import heapq
from dataclasses import dataclass, field

START_MS = 1_700_000_000_000


@dataclass(slots=True, repr=False)
class FakeClock:
    """`clock.advance(ms=…)` moves time and wakes whoever slept long enough; nothing else does.

    Without a repr of its own: it would be that of all tasks of a server, and asyncio asks each fixture for its repr twice.
    """

    current_ms: int = START_MS
    _sleepers: list[tuple[int, int, asyncio.Future[None]]] = field(default_factory=list)
    _count: int = 0

    def now_ms(self) -> int:
        return self.current_ms

    async def sleep(self, *, ms: int) -> None:
        if ms <= 0:
            await asyncio.sleep(0)
            return
        wake: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._count += 1  # keeps the order of those who wake at the same moment
        heapq.heappush(self._sleepers, (self.current_ms + ms, self._count, wake))
        await wake

    def advance(self, *, ms: int = 0, seconds: int = 0, minutes: int = 0, hours: int = 0, days: int = 0) -> None:
        self.current_ms += ms + 1000 * (seconds + 60 * (minutes + 60 * (hours + 24 * days)))
        while self._sleepers and self._sleepers[0][0] <= self.current_ms:
            wake = heapq.heappop(self._sleepers)[2]
            if not wake.done():
                wake.set_result(None)

"""When a client that follows new tracks is made to negotiate: soon, but once for many."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from voice.sfu.embedded.rooms.limits import RoomLimits


@dataclass(slots=True)
class Pacing:
    """Calls `fire` a moment after the first `soon`; the moment is longer for who has just negotiated in a big room."""

    limits: RoomLimits
    now: Callable[[], int]
    """Monotonic ms."""
    room_size: Callable[[], int]
    fire: Callable[[], None]
    _last: int | None = None
    _timer: asyncio.TimerHandle | None = None

    def soon(self) -> None:
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(self._delay() / 1000, self._fire)

    def _delay(self) -> int:
        if self._last is None:
            return self.limits.negotiation_delay
        gap = min(self.limits.negotiation_gap, self.limits.negotiation_gap_per_participant * self.room_size())
        return max(self.limits.negotiation_delay, self._last + gap - self.now())

    def _fire(self) -> None:
        self._timer = None
        self.fire()

    def negotiated(self) -> None:
        self._last = self.now()

    def cancel(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

"""Rate limits across processes: each counts in memory, and they tell each other what was taken several times a second.

So no request waits for Redis, and limits hold while it is away, for each process by itself. What one could take too much is
what can be taken within SHARE_EVERY_MS at the other processes.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Protocol

from homeserver.services.clock import Clock
from homeserver.services.rate_limits import Bucket, BucketRateLimiter

SHARE_EVERY_MS: Final = 200
PAUSE_AFTER_FAILURE_MS: Final = 5_000

log = logging.getLogger(__name__)


class Buckets(Protocol):
    """Implemented by storage/redis/buckets.py."""

    async def take(self, spent_ms: Mapping[Bucket, float]) -> dict[Bucket, float]:
        """Take from the buckets of all; the milliseconds until each is full. Raises what failed."""
        ...

    async def close(self) -> None: ...


@dataclass(slots=True)
class SharedRates:
    """`share` is repeated while the server runs."""

    limiter: BucketRateLimiter
    buckets: Buckets
    clock: Clock
    _try_again_ms: int = 0
    _is_away: bool = False

    async def share(self) -> None:
        """Tell what was taken here, and learn what was taken elsewhere of the same buckets."""
        spent_ms = self.limiter.take_spent()
        if not spent_ms or self.clock.now_ms() < self._try_again_ms:
            return
        try:
            left_ms = await self.buckets.take(spent_ms)
        except Exception as failure:
            self._failed(failure)
            return
        self._is_away = False
        for bucket, until_full_ms in left_ms.items():
            self.limiter.settle(bucket, until_full_ms)

    def _failed(self, failure: Exception) -> None:
        self._try_again_ms = self.clock.now_ms() + PAUSE_AFTER_FAILURE_MS
        if not self._is_away:
            log.warning("Redis does not answer; rate limits count for this process alone: %s", failure)
        self._is_away = True

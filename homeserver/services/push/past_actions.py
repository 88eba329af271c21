"""How long it is known of what people were notified: weeks, then it is forgotten, but for what they have not read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from homeserver.services.clock import Clock
    from homeserver.storage.database import Queries
    from homeserver.storage.notifications import NotificationRows

DAY_MS: Final = 24 * 3600_000
KEPT_DAYS: Final = 30
INTERVAL_MS: Final = 3600_000
AT_ONCE: Final = 10_000


@dataclass(slots=True)
class PastActions:
    """`oldest`: events up to this position are not listed any more. `newest`: where the stream of events stands."""

    queries: Queries
    rows: NotificationRows
    clock: Clock
    newest: Callable[[], int]
    oldest: int = 0

    async def load(self) -> None:
        """Once, before the first request."""
        self.oldest = await self.rows.before_day(self.queries, self._today() - KEPT_DAYS)

    async def forget(self) -> None:
        """Called every INTERVAL_MS."""
        today = self._today()
        await self.rows.remember_day(self.queries, today, self.newest())
        oldest = await self.rows.before_day(self.queries, today - KEPT_DAYS)
        after: int | None = 0 if oldest > self.oldest else None
        self.oldest = oldest
        while after is not None:
            looked = await self.rows.forget_read(self.queries, after, oldest, AT_ONCE)
            after = looked[0] if looked is not None and looked[1] == AT_ONCE else None
        await self.rows.forget_days(self.queries, today - KEPT_DAYS - 1)

    def _today(self) -> int:
        return self.clock.now_ms() // DAY_MS

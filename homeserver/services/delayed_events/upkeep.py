"""What the life of the server asks of delayed events: load, store, forget."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from homeserver.services.clock import Clock
from homeserver.services.delayed_events.timetable import Timetable, scheduled
from homeserver.storage.delayed_events import DelayedEventRows

if TYPE_CHECKING:
    from homeserver.storage.database import Queries

MAX_FINALISED_OF_USER: Final = 1_000
KEPT_MS: Final = 7 * 24 * 60 * 60 * 1000
# After a start nobody can have restarted anything for a while, and the last restarts before may not be stored. The
# proposal lets us "add up to 30 seconds".
MAX_GRACE_MS: Final = 30_000


@dataclass(frozen=True, slots=True)
class DelayedUpkeep:
    """Verbs of the life cycle, and of accounts and devices that go."""

    queries: Queries
    rows: DelayedEventRows
    timetable: Timetable
    clock: Clock

    async def load(self) -> None:
        """Before the first request. Whoever was alive when the server went down has a delay's time to say so."""
        now_ms = self.clock.now_ms()
        for row in await self.rows.scheduled(self.queries):
            self.timetable.add(scheduled(row, now_ms + min(row.delay_ms, MAX_GRACE_MS)))

    async def flush(self) -> None:
        """Store what was restarted since the last time: one statement for all."""
        restarted = list(self.timetable.take_restarted())
        if not restarted:
            return
        try:
            await self.rows.restarted(self.queries, [(entry.delay_id, entry.running_since) for entry in restarted])
        except BaseException:
            self.timetable.note_restarted(restarted)
            raise

    async def tidy(self) -> None:
        """Housekeeping: forget what was finalised long ago."""
        before_ms = self.clock.now_ms() - KEPT_MS
        await self.rows.forget_finalised(self.queries, before_ms, MAX_FINALISED_OF_USER)

    async def forget_user(self, user_id: str) -> None:
        """The account is gone, and with it what it wanted to say."""
        for entry in self.timetable.of_user(user_id):
            self.timetable.remove(entry)
        await self.rows.forget_user(self.queries, user_id)

    async def forget_devices(self, user_id: str, device_ids: Sequence[str]) -> None:
        """Transaction ids end with their device. What it has scheduled is sent all the same: it may be its leave."""
        await self.rows.forget_transactions(self.queries, user_id, device_ids)

    def memory_usage(self) -> dict[str, int]:
        """Counts for the memory report."""
        return {"scheduled": len(self.timetable)}

"""Table `event_transactions`: which event a device's transaction became. Written by event_writes.py."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from homeserver.storage.database import Queries

OF_DEVICE = """
SELECT txn_key, event_id FROM event_transactions
WHERE user_id = $1 AND device_id = $2 AND created_ms >= $3
ORDER BY created_ms DESC LIMIT $4
"""

PRUNE = "DELETE FROM event_transactions WHERE created_ms < $1"


class EventTransactions:
    """Idempotency keys of sent events."""

    async def of_device(
        self, q: Queries, user_id: str, device_id: str, *, since_ms: int, limit: int
    ) -> list[tuple[str, str]]:
        """(key, event id) of the device's newest transactions, newest first."""
        return [(row[0], row[1]) for row in await q.fetch(OF_DEVICE, user_id, device_id, since_ms, limit)]

    async def prune(self, q: Queries, before_ms: int) -> None:
        """Forget transactions older than this."""
        await q.execute(PRUNE, before_ms)

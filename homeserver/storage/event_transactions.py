"""Table `event_transactions`: which event a device's transaction became. Written by event_writes.py."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from homeserver.storage.database import Queries

OF_DEVICE = """
SELECT txn_key, event_id FROM event_transactions
WHERE user_id = $1 AND device_id = $2 AND created_ms >= $3
ORDER BY created_ms DESC LIMIT $4
"""

# The primary key begins with user and device: this goes through one device's transactions of a day. Delayed events have
# no device.
OF_EVENTS = """
SELECT event_nid, txn_key FROM event_transactions
WHERE user_id = $1 AND device_id IN ($2, '') AND event_nid = ANY($3::bigint[])
"""

FIND = "SELECT event_id FROM event_transactions WHERE user_id = $1 AND device_id = $2 AND txn_key = $3"

OF_DEVICES_GONE = "DELETE FROM event_transactions WHERE user_id = $1 AND device_id = ANY($2::text[])"

PRUNE = "DELETE FROM event_transactions WHERE created_ms < $1"


class EventTransactions:
    """Idempotency keys of sent events."""

    async def of_device(
        self, q: Queries, user_id: str, device_id: str, *, since_ms: int, limit: int
    ) -> list[tuple[str, str]]:
        """(key, event id) of the device's newest transactions, newest first."""
        return [(row[0], row[1]) for row in await q.fetch(OF_DEVICE, user_id, device_id, since_ms, limit)]

    async def of_events(self, q: Queries, user_id: str, device_id: str, event_nids: Sequence[int]) -> dict[int, str]:
        """Keys of the transactions with which this device sent these events, by event number."""
        return {row[0]: row[1] for row in await q.fetch(OF_EVENTS, user_id, device_id, event_nids)}

    async def find(self, q: Queries, user_id: str, device_id: str, key: str) -> str | None:
        """The event that one transaction became."""
        event_id: str | None = await q.fetchval(FIND, user_id, device_id, key)
        return event_id

    async def delete_devices(self, q: Queries, user_id: str, device_ids: Sequence[str]) -> None:
        """The devices are gone; one that is later given the same id begins anew."""
        await q.execute(OF_DEVICES_GONE, user_id, list(device_ids))

    async def prune(self, q: Queries, before_ms: int) -> None:
        """Forget transactions older than this."""
        await q.execute(PRUNE, before_ms)

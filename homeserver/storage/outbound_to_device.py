"""Table `outbound_to_device`, read: messages for devices of other servers. Written by to_device.py."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from homeserver.storage.database import Queries

# Jumps from one destination to the next in the index: there may be many messages for few servers.
DESTINATIONS = """
WITH RECURSIVE found (destination) AS (
    (SELECT destination FROM outbound_to_device ORDER BY destination LIMIT 1)
    UNION ALL
    SELECT (
        SELECT o.destination FROM outbound_to_device o WHERE o.destination > f.destination ORDER BY o.destination LIMIT 1
    ) FROM found f WHERE f.destination IS NOT NULL
)
SELECT destination FROM found WHERE destination IS NOT NULL
"""

# $3: bytes of all together; the first is taken whatever its size.
NEXT = """
SELECT outbound_nid, content FROM (
    SELECT outbound_nid, content, sum(length(content)) OVER w AS size, row_number() OVER w AS place
    FROM (
        SELECT outbound_nid, content FROM outbound_to_device WHERE destination = $1 ORDER BY outbound_nid LIMIT $2
    ) first
    WINDOW w AS (ORDER BY outbound_nid)
) waiting
WHERE size <= $3 OR place = 1 ORDER BY outbound_nid
"""

DELIVERED = "DELETE FROM outbound_to_device WHERE outbound_nid = ANY($1::bigint[])"

# No index: once a day.
PRUNE = "DELETE FROM outbound_to_device WHERE sent_ms < $1"


class OutboundToDevice:
    """Statements over messages that wait for other servers."""

    async def destinations(self, q: Queries) -> list[str]:
        """Servers for which something waits."""
        return [row[0] for row in await q.fetch(DESTINATIONS)]

    async def next(self, q: Queries, destination: str, limit: int, max_bytes: int) -> list[tuple[int, bytes]]:
        """Number and content of the oldest ones for this server, at most so many; at least one where there is one."""
        return [(row[0], row[1]) for row in await q.fetch(NEXT, destination, limit, max_bytes)]

    async def delivered(self, q: Queries, outbound_nids: Collection[int]) -> None:
        """These have arrived."""
        await q.execute(DELIVERED, list(outbound_nids))

    async def prune(self, q: Queries, sent_ms: int) -> None:
        """Give up what has waited for longer than this: its server is gone."""
        await q.execute(PRUNE, sent_ms)

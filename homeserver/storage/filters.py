"""Sync filters, each distinct one stored once per user."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from homeserver.storage.database import Queries

# DO UPDATE changes nothing; without it a filter that exists would return no row. The count may be overshot by requests
# made at the same moment, which does no harm.
ADD = """
INSERT INTO filters (user_id, digest, definition)
SELECT $1, $2, $3
WHERE (SELECT count(*) FROM filters WHERE user_id = $1) < $4
   OR EXISTS (SELECT FROM filters WHERE user_id = $1 AND digest = $2)
ON CONFLICT (user_id, digest) DO UPDATE SET digest = filters.digest
RETURNING filter_id
"""

GET = "SELECT definition FROM filters WHERE user_id = $1 AND filter_id = $2"


class FilterRows:
    """Queries over filters."""

    async def add(self, q: Queries, user_id: str, digest: bytes, definition: bytes, maximum: int) -> int | None:
        """Number of the filter with this definition, stored now or before; None for a new one above the maximum."""
        filter_id: int | None = await q.fetchval(ADD, user_id, digest, definition, maximum)
        return filter_id

    async def get(self, q: Queries, user_id: str, filter_id: int) -> bytes | None:
        """The definition as canonical JSON."""
        definition: bytes | None = await q.fetchval(GET, user_id, filter_id)
        return definition

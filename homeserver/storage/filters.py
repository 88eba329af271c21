"""Sync filters, each distinct one stored once per user."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from homeserver.storage.database import Queries

# DO UPDATE changes nothing; without it a filter that exists would return no row.
ADD = """
INSERT INTO filters (user_id, digest, definition) VALUES ($1, $2, $3)
ON CONFLICT (user_id, digest) DO UPDATE SET digest = filters.digest
RETURNING filter_id
"""

GET = "SELECT definition FROM filters WHERE user_id = $1 AND filter_id = $2"

COUNT = "SELECT count(*) FROM filters WHERE user_id = $1"


class FilterRows:
    """Queries over filters."""

    async def add(self, q: Queries, user_id: str, digest: bytes, definition: bytes) -> int:
        """Number of the filter with this definition, stored now or before."""
        filter_id: int = await q.fetchval(ADD, user_id, digest, definition)
        return filter_id

    async def get(self, q: Queries, user_id: str, filter_id: int) -> bytes | None:
        """The definition as canonical JSON."""
        definition: bytes | None = await q.fetchval(GET, user_id, filter_id)
        return definition

    async def count(self, q: Queries, user_id: str) -> int:
        """How many filters the user has."""
        count: int = await q.fetchval(COUNT, user_id)
        return count

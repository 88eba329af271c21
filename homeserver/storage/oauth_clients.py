"""OAuth clients, by the id that follows from their metadata."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import orjson

if TYPE_CHECKING:
    from homeserver.storage.database import Queries

ADD = """
INSERT INTO oauth_clients (client_id, metadata, last_used_ms) VALUES ($1, $2::jsonb, $3)
ON CONFLICT (client_id) DO UPDATE SET last_used_ms = excluded.last_used_ms
"""

GET = "SELECT metadata FROM oauth_clients WHERE client_id = $1"

USE = "UPDATE oauth_clients SET last_used_ms = $2 WHERE client_id = $1 RETURNING metadata"

# "The server MUST NOT delete client registrations that have an active session."
FORGET_UNUSED = """
DELETE FROM oauth_clients c
WHERE last_used_ms < $1 AND NOT EXISTS (SELECT FROM oauth_grants g WHERE g.client_id = c.client_id)
"""


class OAuthClientRows:
    """Queries over clients."""

    async def add(self, q: Queries, client_id: str, metadata: Mapping[str, Any], now_ms: int) -> None:
        """One that is known already has been used now."""
        await q.execute(ADD, client_id, orjson.dumps(metadata).decode(), now_ms)

    async def get(self, q: Queries, client_id: str) -> dict[str, Any] | None:
        """Its metadata; None where it is not known (any more)."""
        metadata = await q.fetchval(GET, client_id)
        return None if metadata is None else orjson.loads(metadata)

    async def use(self, q: Queries, client_id: str, now_ms: int) -> dict[str, Any] | None:
        """The same, and it has been used now."""
        metadata = await q.fetchval(USE, client_id, now_ms)
        return None if metadata is None else orjson.loads(metadata)

    async def forget_unused(self, q: Queries, before_ms: int) -> None:
        """Housekeeping: clients that were last used before this time, and with which nobody is signed in."""
        await q.execute(FORGET_UNUSED, before_ms)

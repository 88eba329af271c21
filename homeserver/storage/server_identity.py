"""Which server a database belongs to: its name is part of every id in it and can never be changed."""

from __future__ import annotations

from homeserver.storage.database import Queries

CLAIM = """
WITH claimed AS (
    INSERT INTO server_identity (server_name) VALUES ($1) ON CONFLICT DO NOTHING RETURNING server_name
)
SELECT server_name FROM claimed UNION ALL SELECT server_name FROM server_identity LIMIT 1"""


async def claim(q: Queries, server_name: str) -> str:
    """The name of the server this database belongs to: the given one if it had no name yet."""
    return str(await q.fetchval(CLAIM, server_name))

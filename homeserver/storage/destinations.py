"""Other servers as administrators see them: who shares rooms with this one, and how far each has been told."""

from __future__ import annotations

from typing import TYPE_CHECKING

from homeserver.storage.columns import SERVER_OF

if TYPE_CHECKING:
    from homeserver.storage.database import Queries

_SERVER = SERVER_OF.format("user_id")

# One step in the index from each server to the next, instead of going through everybody's memberships.
SERVERS = f"""
WITH RECURSIVE servers(name) AS (
    (SELECT {_SERVER} AS name FROM memberships ORDER BY {_SERVER} LIMIT 1)
    UNION ALL
    SELECT (SELECT {_SERVER} FROM memberships WHERE {_SERVER} > s.name ORDER BY {_SERVER} LIMIT 1)
    FROM servers s WHERE s.name IS NOT NULL
)
SELECT name FROM servers WHERE name IS NOT NULL
"""

IS_KNOWN = f"SELECT EXISTS (SELECT FROM memberships WHERE {_SERVER} = $1)"

SENT = "SELECT destination, sent_position FROM destinations"

SENT_TO = "SELECT sent_position FROM destinations WHERE destination = $1"

_ROOMS = f"SELECT DISTINCT m.room_nid FROM memberships m WHERE {SERVER_OF.format('m.user_id')} = $1"

ROOMS = f"""
SELECT r.room_id FROM rooms r WHERE r.room_nid IN ({_ROOMS}) ORDER BY r.room_id {{direction}} LIMIT $2 OFFSET $3
"""

ROOM_COUNT = f"SELECT count(*) FROM ({_ROOMS}) AS found"


class DestinationRows:
    """Queries over other servers."""

    async def servers(self, q: Queries) -> list[str]:
        """Those whose users are, or were, in rooms of this server; this one among them."""
        return [row[0] for row in await q.fetch(SERVERS)]

    async def is_known(self, q: Queries, server_name: str) -> bool:
        """Whether the server has, or had, users in rooms of this one."""
        return bool(await q.fetchval(IS_KNOWN, server_name))

    async def sent(self, q: Queries) -> dict[str, int]:
        """Up to which position those have been told of events that have a row."""
        return {row[0]: row[1] for row in await q.fetch(SENT)}

    async def sent_to(self, q: Queries, server_name: str) -> int | None:
        """The same of one; None where it has no row."""
        position: int | None = await q.fetchval(SENT_TO, server_name)
        return position

    async def rooms(
        self, q: Queries, server_name: str, *, descending: bool, limit: int, offset: int
    ) -> tuple[list[str], int]:
        """A page of the rooms in which the server has, or had, users, by id, and how many there are."""
        sql = ROOMS.format(direction="DESC" if descending else "ASC")
        rows = await q.fetch(sql, server_name, limit, offset)
        total: int = await q.fetchval(ROOM_COUNT, server_name)
        return [row[0] for row in rows], total

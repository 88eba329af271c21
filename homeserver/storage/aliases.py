"""Table `room_aliases`: names of rooms on this server."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from homeserver.storage.database import Queries

FIND = """
SELECT r.room_id, a.creator FROM room_aliases a JOIN rooms r USING (room_nid) WHERE a.alias = $1
"""

OF_ROOM = "SELECT alias FROM room_aliases WHERE room_nid = $1 ORDER BY alias"

ADD = """
INSERT INTO room_aliases (alias, room_nid, creator, created_ms)
SELECT $1, room_nid, $3, $4 FROM rooms WHERE room_id = $2
ON CONFLICT DO NOTHING RETURNING room_nid
"""

DELETE = "DELETE FROM room_aliases WHERE alias = $1"

DELETE_OF_ROOM = "DELETE FROM room_aliases WHERE room_nid = $1"

# Those of the given aliases that point to the room.
POINTING = """
SELECT a.alias FROM room_aliases a JOIN rooms r USING (room_nid) WHERE a.alias = ANY($1::text[]) AND r.room_id = $2
"""

MOVE = """
UPDATE room_aliases SET room_nid = (SELECT room_nid FROM rooms WHERE room_id = $2)
WHERE room_nid = $1
"""


@dataclass(frozen=True, slots=True)
class StoredAlias:
    """Where an alias points, and who made it."""

    room_id: str
    creator: str


class Aliases:
    """Queries over aliases."""

    async def find(self, q: Queries, alias: str) -> StoredAlias | None:
        """The alias; None where there is no such."""
        row = await q.fetchrow(FIND, alias)
        return None if row is None else StoredAlias(row[0], row[1])

    async def of_room(self, q: Queries, room_nid: int) -> list[str]:
        """All aliases of a room, in order."""
        return [row[0] for row in await q.fetch(OF_ROOM, room_nid)]

    async def add(self, q: Queries, alias: str, room_id: str, creator: str, now_ms: int) -> bool:
        """Point an alias to a room; False where the alias is taken."""
        return await q.fetchval(ADD, alias, room_id, creator, now_ms) is not None

    async def delete(self, q: Queries, alias: str) -> None:
        """Remove an alias."""
        await q.execute(DELETE, alias)

    async def delete_of_room(self, q: Queries, room_nid: int) -> None:
        """Remove all aliases of a room."""
        await q.execute(DELETE_OF_ROOM, room_nid)

    async def pointing(self, q: Queries, aliases: list[str], room_id: str) -> set[str]:
        """Those of the aliases that point to the room."""
        return {row[0] for row in await q.fetch(POINTING, aliases, room_id)}

    async def move(self, q: Queries, from_nid: int, to_room_id: str) -> None:
        """Let all aliases of one room point to another."""
        await q.execute(MOVE, from_nid, to_room_id)

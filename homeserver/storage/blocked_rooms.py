"""Table `blocked_rooms`: rooms that nobody of this server comes into."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from homeserver.storage.database import Queries

ALL = "SELECT room_id, blocked_by FROM blocked_rooms"

ADD = """
INSERT INTO blocked_rooms (room_id, blocked_by, blocked_ms) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING
"""

REMOVE = "DELETE FROM blocked_rooms WHERE room_id = $1"


class BlockedRoomRows:
    """Queries over blocked rooms."""

    async def all(self, q: Queries) -> dict[str, str]:
        """All of them, with who has blocked each."""
        return {row[0]: row[1] for row in await q.fetch(ALL)}

    async def add(self, q: Queries, room_id: str, blocked_by: str, now_ms: int) -> None:
        """Block a room, which this server need not know."""
        await q.execute(ADD, room_id, blocked_by, now_ms)

    async def remove(self, q: Queries, room_id: str) -> None:
        """Let people in again."""
        await q.execute(REMOVE, room_id)

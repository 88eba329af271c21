"""Table `published_rooms`: the public directory."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from homeserver.storage.database import Queries

PUBLISH = """
INSERT INTO published_rooms (room_nid, published_ms) SELECT room_nid, $2 FROM rooms WHERE room_id = $1
ON CONFLICT DO NOTHING
"""


class RoomDirectoryRows:
    """Queries over published rooms."""

    async def publish(self, q: Queries, room_id: str, now_ms: int) -> None:
        """List a room; listing it again changes nothing."""
        await q.execute(PUBLISH, room_id, now_ms)

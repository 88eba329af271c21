"""Table `published_rooms`: the public directory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from homeserver.storage.database import Queries

PUBLISH = """
INSERT INTO published_rooms (room_nid, published_ms) SELECT room_nid, $2 FROM rooms WHERE room_id = $1
ON CONFLICT DO NOTHING
"""

UNPUBLISH = "DELETE FROM published_rooms p USING rooms r WHERE r.room_id = $1 AND p.room_nid = r.room_nid"

IS_PUBLISHED = """
SELECT p.room_nid IS NOT NULL FROM rooms r LEFT JOIN published_rooms p USING (room_nid)
WHERE r.room_id = $1 AND r.tip_version > 0
"""

# Instead of the old room the new one, if the old one was listed.
MOVE = """
WITH unpublished AS (DELETE FROM published_rooms WHERE room_nid = $1 RETURNING published_ms)
INSERT INTO published_rooms (room_nid, published_ms)
SELECT r.room_nid, u.published_ms FROM rooms r, unpublished u WHERE r.room_id = $2
ON CONFLICT DO NOTHING
"""

PUBLISHED = """
SELECT r.room_id, p.room_nid,
       (SELECT count(*) FROM memberships m WHERE m.room_nid = p.room_nid AND m.membership = 'join')
FROM published_rooms p JOIN rooms r USING (room_nid)
"""

STATE_OF_PUBLISHED = """
SELECT s.room_nid, s.type, e.body
FROM published_rooms p
CROSS JOIN unnest($1::text[]) AS wanted(type)
JOIN current_state s ON s.room_nid = p.room_nid AND s.type = wanted.type AND s.state_key = ''
JOIN events e ON e.event_nid = s.event_nid
"""


@dataclass(frozen=True, slots=True)
class PublishedRoom:
    """A room of the directory, and how many have joined it."""

    room_id: str
    room_nid: int
    joined: int


class RoomDirectoryRows:
    """Queries over published rooms."""

    async def publish(self, q: Queries, room_id: str, now_ms: int) -> None:
        """List a room; listing it again changes nothing."""
        await q.execute(PUBLISH, room_id, now_ms)

    async def unpublish(self, q: Queries, room_id: str) -> None:
        """List a room no longer."""
        await q.execute(UNPUBLISH, room_id)

    async def is_published(self, q: Queries, room_id: str) -> bool | None:
        """Whether the room is listed; None where there is no such room."""
        is_published: bool | None = await q.fetchval(IS_PUBLISHED, room_id)
        return is_published

    async def move(self, q: Queries, from_nid: int, to_room_id: str) -> None:
        """List another room in the place of one, if that one is listed."""
        await q.execute(MOVE, from_nid, to_room_id)

    async def published(self, q: Queries) -> list[PublishedRoom]:
        """All listed rooms."""
        return [PublishedRoom(*row) for row in await q.fetch(PUBLISHED)]

    async def state_of_published(self, q: Queries, types: Sequence[str]) -> list[tuple[int, str, bytes]]:
        """(room, type, event body) of the current state of all listed rooms, of these types."""
        return [(row[0], row[1], row[2]) for row in await q.fetch(STATE_OF_PUBLISHED, types)]

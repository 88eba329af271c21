"""What pushers missed while the server was away: events that notify somebody, and what of it has been read since."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

from homeserver.storage.events import COLUMNS

if TYPE_CHECKING:
    from asyncpg import Record

    from homeserver.storage.database import Queries

# Flags: 1 notifies, 2 redacted. Events that got their place later than their number are rare, and no news.
EVENTS_AFTER = f"""
SELECT {COLUMNS}, r.room_id FROM events e JOIN rooms r USING (room_nid)
WHERE e.event_nid > $1 AND e.event_nid <= $2 AND e.position = e.event_nid AND (e.flags & 2) = 0
  AND ((e.flags & 1) = 1 OR EXISTS (SELECT FROM push_actions a WHERE a.position = e.position AND a.notify))
ORDER BY e.event_nid LIMIT $3
"""

# The number before the newest $2 events after $1.
NEWEST_AFTER = """
SELECT coalesce((SELECT event_nid FROM events WHERE event_nid > $1 ORDER BY event_nid DESC OFFSET $2 LIMIT 1), $1)
"""

# Rooms that any of these users is in, or invited to.
ROOMS_OF_PUSHED = """
SELECT DISTINCT room_nid FROM memberships
WHERE room_nid = ANY($1::int[]) AND user_id = ANY($2::text[]) AND membership IN ('join', 'invite')
"""

READ_POSITIONS = """
SELECT user_id, room_nid, thread_id, position FROM read_positions
WHERE user_id = ANY($1::text[]) AND room_nid = ANY($2::int[])
"""


class MissedPushRows:
    """Statements that are needed after a start."""

    async def newest_after(self, q: Queries, after: int, maximum: int) -> int:
        """Where to begin, so that at most `maximum` events come after `after`."""
        return int(await q.fetchval(NEWEST_AFTER, after, maximum))

    async def events_after(self, q: Queries, after: int, up_to: int, limit: int) -> list[Record]:
        """Records of EVENTS columns and the room id, of all rooms, in order."""
        return await q.fetch(EVENTS_AFTER, after, up_to, limit)

    async def rooms_of_pushed(self, q: Queries, room_nids: Collection[int], user_ids: Collection[str]) -> set[int]:
        """Those of the rooms in which any of the users is, or to which he is invited."""
        return {row[0] for row in await q.fetch(ROOMS_OF_PUSHED, list(room_nids), list(user_ids))}

    async def read_positions(
        self, q: Queries, user_ids: Collection[str], room_nids: Collection[int]
    ) -> dict[tuple[str, int, str], int]:
        """How far each has read, by user, room and thread."""
        rows = await q.fetch(READ_POSITIONS, list(user_ids), list(room_nids))
        return {(row[0], row[1], row[2]): row[3] for row in rows}

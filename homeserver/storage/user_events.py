"""What one user has said in a room, newest first, and can be redacted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from homeserver.storage.columns import MEMBERSHIP_IN
from homeserver.storage.events import COLUMNS

if TYPE_CHECKING:
    from asyncpg import Record

    from homeserver.storage.database import Queries

# Messages, and joins, which bear a name and a picture. `$3`: the flag of what is redacted already.
_REDACTABLE = f"""
e.sender = $2 AND e.flags & $3 = 0 AND (
    (e.state_key IS NULL AND e.type <> 'm.room.redaction')
    OR (e.type = 'm.room.member' AND e.state_key = e.sender
        AND {MEMBERSHIP_IN.format("e.body")} = 'join')
)
"""

# A stretch of `$5` events of the room; in the last row where it ends.
STRETCH = f"""
WITH stretch AS (
    SELECT * FROM events WHERE room_nid = $1 AND position < $4 ORDER BY position DESC LIMIT $5
)
(
    SELECT event_id, position FROM stretch e
    WHERE {_REDACTABLE} AND e.origin_server_ts <= $7 AND e.origin_server_ts >= $8
    ORDER BY position DESC LIMIT $6
)
UNION ALL
SELECT NULL, min(position) FROM stretch
"""

# Nobody has seen them here, but others may have. `$4`: the flag of those.
SOFT_FAILED = f"""
SELECT {COLUMNS} FROM events e WHERE room_nid = $1 AND position IS NULL AND e.flags & $4 <> 0 AND {_REDACTABLE}
ORDER BY event_nid DESC LIMIT $5
"""

ROOMS = """
SELECT r.room_id FROM memberships m JOIN rooms r USING (room_nid)
WHERE m.user_id = $1 AND m.membership IN ('join', 'leave', 'ban') AND r.tip_version > 0
ORDER BY m.position DESC
"""

ALWAYS = 2**62


@dataclass(frozen=True, slots=True)
class Stretch:
    """Events (id and position) of a stretch of a room, newest first; `end` is where it ends, None at the room's beginning."""

    events: list[tuple[str, int]]
    end: int | None


class UserEventRows:
    """Queries over the events of one sender."""

    async def stretch(
        self,
        q: Queries,
        room_nid: int,
        user_id: str,
        redacted_flag: int,
        before: int,
        look_at: int,
        limit: int,
        before_ts: int | None = None,
        after_ts: int | None = None,
    ) -> Stretch:
        """At most `limit` of those among the `look_at` events of the room before a position."""
        rows = await q.fetch(
            STRETCH, room_nid, user_id, redacted_flag, before, look_at, limit,
            ALWAYS if before_ts is None else before_ts, -ALWAYS if after_ts is None else after_ts,
        )  # fmt: skip
        return Stretch([(row[0], row[1]) for row in rows if row[0] is not None], rows[-1][1])

    async def soft_failed(
        self, q: Queries, room_nid: int, user_id: str, redacted_flag: int, soft_failed_flag: int, limit: int
    ) -> list[Record]:
        """Events (events.COLUMNS) that came when they were no longer allowed."""
        return await q.fetch(SOFT_FAILED, room_nid, user_id, redacted_flag, soft_failed_flag, limit)

    async def rooms(self, q: Queries, user_id: str) -> list[str]:
        """Rooms that the user is, or has been, in."""
        return [row[0] for row in await q.fetch(ROOMS, user_id)]

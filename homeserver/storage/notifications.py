"""What users have been notified of, and how long that is kept: `events`, `push_actions`, `push_days`."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

from homeserver.storage.events import COLUMNS

if TYPE_CHECKING:
    from asyncpg import Record

    from homeserver.storage.database import Queries

# $1 user, $2 rooms, $3 whether the events' own flags count for him there, $4 and $5: positions between which it is looked,
# both excluded, $6 whom he ignores, $7 how many events of a room are looked at, $8 how many are wanted, $9 highlights only.
# Flags: 1 notifies, 2 redacted, 16 highlights. `horizon`: below it a room has events that were not looked at.
PAGE = f"""
WITH wanted AS (
    SELECT * FROM unnest($2::int[], $3::boolean[]) AS r(room_nid, loud)
),
looked AS (
    SELECT w.room_nid, e.event_nid, e.position, e.flags, e.sender
    FROM wanted w
    CROSS JOIN LATERAL (
        SELECT event_nid, position, flags, sender FROM events
        WHERE room_nid = w.room_nid AND position < $4 AND position > $5
        ORDER BY position DESC LIMIT $7
    ) e
    WHERE w.loud
),
horizon AS (
    SELECT coalesce(max(low), $5) AS position FROM (
        SELECT min(position) AS low FROM looked GROUP BY room_nid HAVING count(*) >= $7
    ) AS lows
),
found AS (
    SELECT event_nid, position, (flags & 16) <> 0 AS highlight FROM looked l
    WHERE (flags & 3) = 1 AND sender <> $1 AND NOT EXISTS (
        SELECT FROM push_actions a WHERE a.user_id = $1 AND a.room_nid = l.room_nid AND a.position = l.position
    )
    UNION ALL
    SELECT e.event_nid, a.position, a.highlight
    FROM wanted w
    JOIN push_actions a ON a.user_id = $1 AND a.room_nid = w.room_nid AND a.position < $4 AND a.position > $5
    JOIN events e ON e.room_nid = a.room_nid AND e.position = a.position
    WHERE a.notify
    UNION ALL
    -- Invitations into rooms that this server is not in are in no timeline.
    SELECT m.event_nid, m.position, false
    FROM memberships m JOIN stripped_states s USING (user_id, room_nid)
    WHERE m.user_id = $1 AND m.membership = 'invite' AND m.position < $4 AND m.position > $5
),
page AS (
    SELECT {COLUMNS.replace("e.position", "f.position")}, f.highlight
    FROM horizon h JOIN found f ON f.position >= h.position AND (f.highlight OR NOT $9)
    JOIN events e ON e.event_nid = f.event_nid AND (e.flags & 2) = 0 AND e.sender <> ALL($6::text[])
    ORDER BY f.position DESC LIMIT $8
)
SELECT p.*, rooms.room_id, coalesce(reads.position, 0) >= p.position AS read, h.position AS horizon
FROM horizon h
LEFT JOIN page p ON true
LEFT JOIN rooms ON rooms.room_nid = p.room_nid
LEFT JOIN LATERAL (
    SELECT max(r.position) AS position FROM read_positions r
    WHERE r.user_id = $1 AND r.room_nid = p.room_nid AND r.thread_id IN ('', thread_of(p.event_nid))
) reads ON true
ORDER BY p.position DESC
"""

REMEMBER_DAY = "INSERT INTO push_days (day, position) VALUES ($1, $2) ON CONFLICT DO NOTHING"

BEFORE_DAY = "SELECT coalesce(max(position), 0) FROM push_days WHERE day <= $1"

FORGET_DAYS = "DELETE FROM push_days WHERE day < $1"

# Those that were read, of the oldest $3 after $1. What is unread is counted, however old it is.
FORGET_READ = """
WITH old AS (
    SELECT user_id, room_nid, position, thread_id FROM push_actions
    WHERE position > $1 AND position <= $2 ORDER BY position LIMIT $3
),
gone AS (
    DELETE FROM push_actions a USING old o
    WHERE a.user_id = o.user_id AND a.room_nid = o.room_nid AND a.position = o.position
      AND EXISTS (
          SELECT FROM read_positions p
          WHERE p.user_id = o.user_id AND p.room_nid = o.room_nid AND p.thread_id IN ('', o.thread_id)
            AND p.position >= o.position
      )
)
SELECT max(position), count(*) FROM old
"""


class NotificationRows:
    """Statements over what has notified people."""

    async def page(
        self,
        q: Queries,
        user_id: str,
        rooms: Sequence[tuple[int, bool]],
        *,
        before: int,
        after: int,
        ignored: Collection[str],
        events_a_room: int,
        limit: int,
        highlights: bool,
    ) -> list[Record]:
        """Records of EVENTS columns, `highlight`, `room_id`, `read` and `horizon`, newest first. `rooms`: (room_nid, loud).

        One record without an event where there are none. What is below the horizon is to be asked for again.
        """
        nids, loud = [nid for nid, _ in rooms], [loud for _, loud in rooms]
        return await q.fetch(PAGE, user_id, nids, loud, before, after, list(ignored), events_a_room, limit, highlights)

    async def remember_day(self, q: Queries, day: int, position: int) -> None:
        """Where the stream of events stands on this day (since 1970); the first look of a day counts."""
        await q.execute(REMEMBER_DAY, day, position)

    async def before_day(self, q: Queries, day: int) -> int:
        """Events up to this position are from before the day; 0 where that is not known."""
        return int(await q.fetchval(BEFORE_DAY, day))

    async def forget_days(self, q: Queries, before: int) -> None:
        """Earlier ones are not asked for any more."""
        await q.execute(FORGET_DAYS, before)

    async def forget_read(self, q: Queries, after: int, up_to: int, limit: int) -> tuple[int, int] | None:
        """Delete what was read among `limit` push actions; where the last of them is, and how many they were."""
        row = await q.fetchrow(FORGET_READ, after, up_to, limit)
        return None if row is None or row[0] is None else (row[0], row[1])

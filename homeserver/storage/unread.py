"""What is unread, counted from `events`, `push_actions` and `read_positions` in one statement for many rooms."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from asyncpg import Record

    from homeserver.storage.database import Queries

# $1 users, $2 a room of each, $3 whether the events' own flags count for him there, $4 newest position, $5 users and $6 whom
# each of them ignores, $7 how many of a room's newest events are looked at. Flags: 1 notifies, 2 redacted, 16 highlights.
# Who never read anything here has read everything up to his join.
COUNT = """
WITH wanted AS (
    SELECT r.user_id, r.room_nid, r.loud, coalesce(p.position, m.position) AS read_up_to
    FROM unnest($1::text[], $2::int[], $3::boolean[]) AS r(user_id, room_nid, loud)
    JOIN memberships m ON m.user_id = r.user_id AND m.room_nid = r.room_nid
    LEFT JOIN read_positions p ON p.user_id = r.user_id AND p.room_nid = r.room_nid AND p.thread_id = ''
),
ignored AS (
    SELECT * FROM unnest($5::text[], $6::text[]) AS i(user_id, sender)
),
plain AS (
    SELECT w.user_id, e.room_nid, e.position, (e.flags & 16) <> 0 AS highlight,
           CASE WHEN r.event_nid IS NULL THEN 'main' WHEN r.rel_type = 'm.thread' THEN r.parent_id
                ELSE thread_of(e.event_nid) END AS thread_id
    FROM wanted w
    CROSS JOIN LATERAL (
        SELECT event_nid, room_nid, position, flags, sender FROM events
        WHERE room_nid = w.room_nid AND position > w.read_up_to AND position <= $4
        ORDER BY position DESC LIMIT $7
    ) e
    LEFT JOIN relations r ON r.event_nid = e.event_nid
    WHERE w.loud AND (e.flags & 3) = 1 AND e.sender <> w.user_id
      AND NOT EXISTS (SELECT FROM ignored i WHERE i.user_id = w.user_id AND i.sender = e.sender)
      AND NOT EXISTS (
          SELECT FROM push_actions a WHERE a.user_id = w.user_id AND a.room_nid = e.room_nid AND a.position = e.position
      )
),
special AS (
    SELECT a.user_id, a.room_nid, a.position, a.highlight, a.thread_id
    FROM wanted w
    JOIN push_actions a
        ON a.user_id = w.user_id AND a.room_nid = w.room_nid AND a.position > w.read_up_to AND a.position <= $4
    JOIN events e ON e.room_nid = a.room_nid AND e.position = a.position
    WHERE a.notify AND (e.flags & 2) = 0
      AND NOT EXISTS (SELECT FROM ignored i WHERE i.user_id = w.user_id AND i.sender = e.sender)
)
SELECT u.user_id, u.room_nid, u.thread_id, count(*) AS notifications, count(*) FILTER (WHERE u.highlight) AS highlights
FROM (SELECT * FROM plain UNION ALL SELECT * FROM special) AS u(user_id, room_nid, position, highlight, thread_id)
LEFT JOIN read_positions t ON t.user_id = u.user_id AND t.room_nid = u.room_nid AND t.thread_id = u.thread_id
WHERE u.position > coalesce(t.position, 0)
GROUP BY u.user_id, u.room_nid, u.thread_id
"""

# What push rules ask about a room as such. Three members stand for any number above two.
ROOM_KINDS = """
SELECT r.room_nid,
       (SELECT count(*) FROM (
           SELECT FROM memberships m WHERE m.room_nid = r.room_nid AND m.membership = 'join' LIMIT 3
       ) AS few) AS members,
       EXISTS (
           SELECT FROM current_state s
           WHERE s.room_nid = r.room_nid AND s.type = 'm.room.encryption' AND s.state_key = ''
       ) AS encrypted
FROM unnest($1::int[]) AS r(room_nid)
"""

THREAD_OF = "SELECT thread_of(event_nid) FROM events WHERE event_id = $1 AND room_nid = $2"


class UnreadCountRows:
    """Statements that count; nothing is written here."""

    async def count(
        self,
        q: Queries,
        rooms: Sequence[tuple[str, int, bool]],
        *,
        up_to: int,
        ignored: Sequence[tuple[str, str]],
        events_a_room: int,
    ) -> list[Record]:
        """(user_id, room_nid, thread_id, notifications, highlights) where there are any.

        `rooms`: (user_id, room_nid, whether the events' own flags count for this user in this room). `ignored`: (user_id,
        sender).
        """
        users, room_nids, loud = zip(*rooms, strict=True) if rooms else ((), (), ())
        ignorers, senders = zip(*ignored, strict=True) if ignored else ((), ())
        return await q.fetch(COUNT, users, room_nids, loud, up_to, ignorers, senders, events_a_room)

    async def room_kinds(self, q: Queries, room_nids: Sequence[int]) -> dict[int, tuple[int, bool]]:
        """(joined members, at most 3; whether encrypted) by room."""
        return {row[0]: (row[1], row[2]) for row in await q.fetch(ROOM_KINDS, room_nids)}

    async def thread_of(self, q: Queries, room_nid: int, event_id: str) -> str:
        """The thread an event belongs to, "main" for events that are not known."""
        return await q.fetchval(THREAD_OF, event_id, room_nid) or "main"

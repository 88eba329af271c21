"""Tables `receipts` and `read_positions`: what others see of a reader, and how far he has read."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from asyncpg import Record

    from homeserver.storage.database import Queries

UNTHREADED = ""
"""As a thread id: the receipt is about the whole room."""

# Backfilled events (position < 0) are older than every receipt and may be read too.
EVENTS = """
SELECT event_id, position, thread_of(event_nid) AS thread_id FROM events
WHERE event_id = ANY($1::text[]) AND room_nid = $2 AND position IS NOT NULL
"""

# Whether an event relates to the root of a thread, in any way and over three hops at most.
RELATES_TO_ROOT = """
WITH RECURSIVE chain AS (
    SELECT r.parent_id, 1 AS hops FROM relations r JOIN events e USING (event_nid)
    WHERE e.event_id = $1 AND r.room_nid = $2
    UNION ALL
    SELECT r.parent_id, c.hops + 1
    FROM chain c JOIN events e ON e.event_id = c.parent_id JOIN relations r USING (event_nid)
    WHERE r.room_nid = $2 AND c.hops < 3
)
SELECT EXISTS (SELECT FROM chain WHERE parent_id = $3)
   AND EXISTS (SELECT FROM threads WHERE room_nid = $2 AND root_id = $3)
"""

# $1 room, $2 user, $3 time. Receipts never go backwards. Push actions that they pass stay for the list of notifications.
STORE = """
WITH given AS (
    SELECT * FROM unnest($4::text[], $5::text[], $6::text[], $7::bigint[], $8::bigint[])
        AS g(receipt_type, thread_id, event_id, event_position, position)
),
stored AS (
    INSERT INTO receipts AS r (room_nid, user_id, receipt_type, thread_id, event_id, event_position, ts, position)
    SELECT $1::int, $2::text, receipt_type, thread_id, event_id, event_position, $3::bigint, position FROM given
    ON CONFLICT (room_nid, user_id, receipt_type, thread_id) DO UPDATE
    SET event_id = excluded.event_id, event_position = excluded.event_position, ts = excluded.ts,
        position = excluded.position
    WHERE r.event_position < excluded.event_position
    RETURNING position
),
read AS (
    INSERT INTO read_positions AS p (user_id, room_nid, thread_id, position)
    SELECT $2::text, $1::int, thread_id, max(event_position) FROM given GROUP BY thread_id
    ON CONFLICT (user_id, room_nid, thread_id) DO UPDATE SET position = excluded.position
    WHERE p.position < excluded.position
),
superseded AS (
    DELETE FROM read_positions p USING given g
    WHERE p.user_id = $2 AND p.room_nid = $1 AND p.thread_id <> '' AND g.thread_id = '' AND p.position <= g.event_position
)
SELECT position FROM stored
"""

# Of users of other servers; they have no counts here. What is wrong about a receipt drops it out of the joins. Threads are
# those there are: names that anybody makes up would be rows without end.
STORE_HEARD = """
INSERT INTO receipts AS r (room_nid, user_id, receipt_type, thread_id, event_id, event_position, ts, position)
SELECT ro.room_nid, g.user_id, 'm.read', g.thread_id, g.event_id, e.position, g.ts, g.position
FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::bigint[], $6::bigint[])
     AS g(room_id, user_id, thread_id, event_id, ts, position)
JOIN rooms ro ON ro.room_id = g.room_id
JOIN events e ON e.event_id = g.event_id AND e.room_nid = ro.room_nid AND e.position IS NOT NULL
JOIN memberships m ON m.user_id = g.user_id AND m.room_nid = ro.room_nid AND m.membership = 'join'
WHERE g.thread_id IN ('', 'main', e.event_id) OR g.thread_id = thread_of(e.event_nid)
ON CONFLICT (room_nid, user_id, receipt_type, thread_id) DO UPDATE
SET event_id = excluded.event_id, event_position = excluded.event_position, ts = excluded.ts,
    position = excluded.position
WHERE r.event_position < excluded.event_position
RETURNING position
"""

# What people sent themselves counts as read. Rows are distinct by user, room and thread.
READ = """
WITH given AS (
    SELECT * FROM unnest($1::text[], $2::int[], $3::text[], $4::bigint[]) AS g(user_id, room_nid, thread_id, position)
)
INSERT INTO read_positions AS p (user_id, room_nid, thread_id, position) SELECT * FROM given
ON CONFLICT (user_id, room_nid, thread_id) DO UPDATE SET position = excluded.position
WHERE p.position < excluded.position
"""

# The newest receipt stays without what it said, so that its position is not used again; its type is shown to nobody.
FORGET = """
WITH own AS (
    SELECT r.room_nid, r.receipt_type, r.thread_id, r.position, max(r.position) OVER () AS newest
    FROM memberships m JOIN receipts r ON r.room_nid = m.room_nid AND r.user_id = m.user_id
    WHERE m.user_id = $1
),
gone AS (
    DELETE FROM receipts r USING own o
    WHERE r.user_id = $1 AND r.room_nid = o.room_nid AND r.receipt_type = o.receipt_type AND r.thread_id = o.thread_id
      AND o.position <> o.newest
),
read AS (DELETE FROM read_positions WHERE user_id = $1),
waiting AS (DELETE FROM push_actions WHERE user_id = $1)
UPDATE receipts r SET receipt_type = '', thread_id = '', event_id = ''
FROM own o
WHERE r.user_id = $1 AND r.room_nid = o.room_nid AND r.receipt_type = o.receipt_type AND r.thread_id = o.thread_id
  AND o.position = o.newest
"""

COLUMNS = "room_nid, user_id, receipt_type, thread_id, event_id, ts"

# The newest $3 of each room, and the reader's own whatever their age.
NEWEST = f"""
SELECT {COLUMNS} FROM unnest($2::int[]) AS wanted(nid)
CROSS JOIN LATERAL (
    SELECT {COLUMNS} FROM receipts
    WHERE room_nid = wanted.nid AND receipt_type = 'm.read' AND user_id <> $1 ORDER BY position DESC LIMIT $3
) r
UNION ALL
SELECT {COLUMNS} FROM receipts WHERE room_nid = ANY($2::int[]) AND user_id = $1
"""

CHANGED = f"""
SELECT {COLUMNS} FROM receipts
WHERE room_nid = ANY($2::int[]) AND position > $3 AND position <= $4 AND (receipt_type = 'm.read' OR user_id = $1)
ORDER BY position
"""


@dataclass(frozen=True, slots=True)
class NewReceipt:
    """One receipt about to be stored. `position`: its place in the stream."""

    receipt_type: str
    thread_id: str
    event_id: str
    event_position: int
    position: int


class ReceiptRows:
    """Statements over receipts and read positions."""

    async def events(self, q: Queries, room_nid: int, event_ids: Collection[str]) -> list[Record]:
        """(event_id, position, thread_id) of those events that are in the room's timeline."""
        return await q.fetch(EVENTS, list(event_ids), room_nid)

    async def relates_to_root(self, q: Queries, room_nid: int, event_id: str, root_id: str) -> bool:
        """Whether the event relates to the root of this thread, if only through others and not as a reply."""
        return bool(await q.fetchval(RELATES_TO_ROOT, event_id, room_nid, root_id))

    async def store(self, q: Queries, room_nid: int, user_id: str, ts: int, receipts: Sequence[NewReceipt]) -> set[int]:
        """Write receipts, distinct by type and thread; returns the positions of those that went forwards."""
        rows = [
            (each.receipt_type, each.thread_id, each.event_id, each.event_position, each.position) for each in receipts
        ]
        columns = [list(column) for column in zip(*rows, strict=True)]
        return {row[0] for row in await q.fetch(STORE, room_nid, user_id, ts, *columns)}

    async def store_heard(self, q: Queries, rows: Sequence[tuple[str, str, str, str, int, int]]) -> set[int]:
        """Write (room_id, user_id, thread_id, event_id, ts, position), distinct by the first three.

        Returns the positions of those that went forwards.
        """
        columns = [list(column) for column in zip(*rows, strict=True)]
        return {row[0] for row in await q.fetch(STORE_HEARD, *columns)}

    async def store_read(self, q: Queries, rows: Sequence[tuple[str, int, str, int]]) -> None:
        """Write (user_id, room_nid, thread_id, position), distinct by the first three; never backwards."""
        await q.execute(READ, *(list(column) for column in zip(*rows, strict=True)))

    async def forget(self, q: Queries, user_id: str) -> None:
        """Everything of a user who is gone."""
        await q.execute(FORGET, user_id)

    async def newest(self, q: Queries, user_id: str, room_nids: Collection[int], limit: int) -> list[Record]:
        """Receipts the user may see: at most `limit` of other people's a room, and all his own."""
        return await q.fetch(NEWEST, user_id, list(room_nids), limit)

    async def changed(self, q: Queries, user_id: str, room_nids: Collection[int], since: int, to: int) -> list[Record]:
        """Receipts the user may see that were set in `(since, to]`, oldest first."""
        return await q.fetch(CHANGED, user_id, list(room_nids), since, to)

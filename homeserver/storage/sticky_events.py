"""Table `sticky_events`: which events still stick, until when. Written by event_writes.py."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from homeserver.storage.events import COLUMNS

if TYPE_CHECKING:
    from asyncpg import Record

    from homeserver.storage.database import Queries

ROOMS = "SELECT room_nid, max(expires_ms) FROM sticky_events WHERE expires_ms > $1 GROUP BY room_nid"

MAX_LOOKED_AT = 5_000
MAX_OF_SENDER = 200
MAX_BYTES_OF_SENDER = 128 * 1024
# Of each room the newest: $5 at most, and of each sender so many that one alone neither fills an answer nor drives out what
# the others have said. What was redacted (2), soft-failed (4) or rejected (8) is nothing to tell.
IN_SPANS = f"""
SELECT {COLUMNS} FROM unnest($1::int[], $2::bigint[], $3::bigint[]) AS wanted(room_nid, after, up_to)
CROSS JOIN LATERAL (
    SELECT event_nid FROM (
        SELECT event_nid, row_number() OVER newer AS number, sum(size) OVER newer AS bytes FROM (
            SELECT s.event_nid, e.sender, octet_length(e.body) AS size
            FROM sticky_events s JOIN events e ON e.event_nid = s.event_nid AND e.flags & 14 = 0
            WHERE s.room_nid = wanted.room_nid AND s.event_nid > wanted.after AND s.event_nid <= wanted.up_to
              AND s.expires_ms > $4
            ORDER BY s.event_nid DESC LIMIT {MAX_LOOKED_AT}
        ) newest
        WINDOW newer AS (PARTITION BY sender ORDER BY event_nid DESC)
    ) counted
    WHERE number <= {MAX_OF_SENDER} AND bytes <= {MAX_BYTES_OF_SENDER}
    ORDER BY event_nid DESC LIMIT $5
) s
JOIN events e ON e.event_nid = s.event_nid
ORDER BY e.event_nid LIMIT $6
"""

# What was redacted, soft-failed or rejected does not go to other servers either.
OF_SERVER = """
SELECT newest.* FROM unnest($1::int[]) AS wanted(room_nid) CROSS JOIN LATERAL (
    SELECT s.room_nid, e.position, e.event_id
    FROM sticky_events s JOIN events e ON e.event_nid = s.event_nid AND e.flags & 14 = 0
    WHERE s.room_nid = wanted.room_nid AND s.expires_ms > $3 AND right(e.sender, length($2) + 1) = ':' || $2
    ORDER BY s.event_nid DESC LIMIT $4
) newest ORDER BY newest.position
"""

FORGET_EXPIRED = "DELETE FROM sticky_events WHERE expires_ms <= $1"


class StickySpan(NamedTuple):
    """Events of a room with after < event_nid <= up_to."""

    room_nid: int
    after: int
    up_to: int


class StickyEventRows:
    """Queries over events that stick."""

    async def rooms(self, q: Queries, now_ms: int) -> list[tuple[int, int]]:
        """(room, until when the last of its events sticks), of all rooms where something does."""
        return [(row[0], row[1]) for row in await q.fetch(ROOMS, now_ms)]

    async def in_spans(
        self, q: Queries, spans: Sequence[StickySpan], now_ms: int, limit: int, at_most: int | None = None
    ) -> list[Record]:
        """What sticks still of these parts of rooms, oldest first; of each the newest, at most `limit`, and of one sender
        at most MAX_OF_SENDER and MAX_BYTES_OF_SENDER. `at_most`: the oldest of all of these.
        """
        columns = [list(column) for column in zip(*spans, strict=True)]
        return await q.fetch(IN_SPANS, *columns, now_ms, limit, at_most)

    async def of_server(
        self, q: Queries, room_nids: Sequence[int], server_name: str, now_ms: int, limit: int
    ) -> list[tuple[int, int, str]]:  # fmt: skip
        """(room, position, event id) of what a server's users have said that sticks still: oldest first, of each room the
        newest `limit`.
        """
        rows = await q.fetch(OF_SERVER, room_nids, server_name, now_ms, limit)
        return [(row[0], row[1], row[2]) for row in rows]

    async def forget_expired(self, q: Queries, now_ms: int) -> None:
        """Housekeeping."""
        await q.execute(FORGET_EXPIRED, now_ms)

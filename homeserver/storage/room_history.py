"""Rooms as they were: what changed for one reader, pages of a timeline, members and state at a position."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from homeserver.storage.events import COLUMNS, IN_FORCE

if TYPE_CHECKING:
    from asyncpg import Record

    from homeserver.storage.database import Queries

# Every history visibility of these rooms and every membership of one user in them.
READER_CHANGES = """
SELECT c.room_nid, c.type, c.position, e.body
FROM unnest($1::int[]) AS wanted(room_nid)
CROSS JOIN (VALUES ('m.room.history_visibility', ''), ('m.room.member', $2)) AS key(type, state_key)
JOIN state_changes c ON c.room_nid = wanted.room_nid AND c.type = key.type AND c.state_key = key.state_key
LEFT JOIN events e ON e.event_nid = c.event_nid
ORDER BY c.position
"""

# A page of the events that a filter wants. `boundary` is how far one statement looks, so that a rare type in a large
# room costs a bounded amount of reading; it is read from the index alone.
FILTERED = """
SELECT {columns}, b.boundary FROM (
    SELECT (
        SELECT position FROM events WHERE room_nid = $1 AND position > $2 AND position <= $3
        ORDER BY position {order} OFFSET $5 LIMIT 1
    ) AS boundary
) b LEFT JOIN LATERAL (
    SELECT * FROM events c
    WHERE c.room_nid = $1 AND c.position > $2 AND c.position <= $3
      -- Not `boundary IS NULL OR ...`: this has to bound the scan of the index.
      AND c.position {within}
      AND ($6::text[] IS NULL OR c.type = ANY($6) OR c.type LIKE ANY($7::text[]))
      AND NOT (c.type = ANY($8::text[]) OR c.type LIKE ANY($9::text[]))
      AND ($10::text[] IS NULL OR c.sender = ANY($10)) AND NOT c.sender = ANY($11::text[])
      AND ($12::bytea IS NULL OR position($12 IN c.body) > 0)
      AND (NOT $13 OR EXISTS (
          SELECT FROM relations r
          WHERE r.parent_id = c.event_id AND r.room_nid = $1
            AND ($14::text[] IS NULL OR r.sender = ANY($14)) AND ($15::text[] IS NULL OR r.rel_type = ANY($15))
      ))
      AND ($16::text[] IS NULL OR EXISTS (
          SELECT FROM relations own WHERE own.event_nid = c.event_nid AND own.rel_type = ANY($16)
      ))
      AND ($17::text[] IS NULL OR NOT EXISTS (
          SELECT FROM relations own WHERE own.event_nid = c.event_nid AND own.rel_type = ANY($17)
      ))
    ORDER BY c.position {order} LIMIT $4
) e ON true
ORDER BY e.position {order}
"""
FILTERED_BACKWARDS = FILTERED.format(columns=COLUMNS, order="DESC", within=">= coalesce(b.boundary, $2)")
FILTERED_FORWARDS = FILTERED.format(columns=COLUMNS, order="ASC", within="<= coalesce(b.boundary, $3)")

MEMBERS_AT = f"""
SELECT {IN_FORCE} FROM (
    SELECT DISTINCT ON (state_key) event_nid, position FROM state_changes
    WHERE room_nid = $1 AND type = 'm.room.member' AND position <= $2
    ORDER BY state_key, position DESC
) s JOIN events e USING (event_nid)
"""

# State at a position without the members, except those asked for.
STATE_AT_WITH_MEMBERS = f"""
SELECT {IN_FORCE} FROM (
    SELECT DISTINCT ON (type, state_key) event_nid, position FROM state_changes
    WHERE room_nid = $1 AND position <= $2 AND (type <> 'm.room.member' OR state_key = ANY($3::text[]))
    ORDER BY type, state_key, position DESC
) s JOIN events e USING (event_nid)
"""

# Timelines are in order of time but for the clocks of other servers: halve the timeline until the place is found
# where times pass $4, then take the nearest in time of the $5 events on either side, or of those at that side's end of
# each range of positions ($6, $7) that may be seen.
NEAREST_IN_TIME = """
WITH RECURSIVE search(low, high) AS (
    SELECT $2::bigint, $3::bigint
    UNION ALL
    SELECT CASE WHEN m.origin_server_ts < $4 THEN m.position ELSE s.low END,
           CASE WHEN m.origin_server_ts < $4 THEN s.high ELSE s.low + (s.high - s.low) / 2 END
    FROM search s LEFT JOIN LATERAL (
        SELECT position, origin_server_ts FROM events
        WHERE room_nid = $1 AND position > s.low + (s.high - s.low) / 2 AND position <= s.high
        ORDER BY position LIMIT 1
    ) m ON true
    WHERE s.high - s.low > 1
), place AS (
    SELECT high AS position FROM search ORDER BY high - low LIMIT 1
), near AS (
    SELECT n.* FROM place, unnest($6::bigint[], $7::bigint[]) AS seen(first, last) CROSS JOIN LATERAL (
        (SELECT position, event_id, origin_server_ts FROM events
         WHERE room_nid = $1 AND position >= seen.first AND position <= least(seen.last, place.position)
         ORDER BY position DESC LIMIT $5)
        UNION ALL
        (SELECT position, event_id, origin_server_ts FROM events
         WHERE room_nid = $1 AND position > greatest(place.position, seen.first - 1) AND position <= seen.last
         ORDER BY position LIMIT $5)
    ) n
)
SELECT event_id, origin_server_ts, position FROM near
WHERE origin_server_ts {at_or_beyond} $4
ORDER BY origin_server_ts {order}, position {order} LIMIT 1
"""
NEXT_IN_TIME = NEAREST_IN_TIME.format(at_or_beyond=">=", order="ASC")
PREVIOUS_IN_TIME = NEAREST_IN_TIME.format(at_or_beyond="<=", order="DESC")


@dataclass(frozen=True, slots=True)
class Wanted:
    """What of a timeline a filter lets through, as SQL can tell it. None: no restriction. Patterns are those of LIKE."""

    types: Sequence[str] | None = None
    type_patterns: Sequence[str] = ()
    not_types: Sequence[str] = ()
    not_type_patterns: Sequence[str] = ()
    senders: Sequence[str] | None = None
    not_senders: Sequence[str] = ()
    body_contains: bytes | None = None
    related: bool = False
    related_by_senders: Sequence[str] | None = None
    related_by_rel_types: Sequence[str] | None = None
    rel_types: Sequence[str] | None = None
    not_rel_types: Sequence[str] = ()


class RoomHistory:
    """Reads the past of rooms; events come as records with the columns of events.COLUMNS."""

    async def reader_changes(self, q: Queries, room_nids: Sequence[int], user_id: str) -> list[Record]:
        """(room_nid, type, position, body) of every visibility and every membership of the user, oldest first; body None
        where the key was empty from there on.
        """
        return await q.fetch(READER_CHANGES, room_nids, user_id)

    async def filtered(
        self, q: Queries, room_nid: int, *, after: int, up_to: int, limit: int, look_at: int, newest_first: bool,
        wanted: Wanted,
    ) -> tuple[list[Record], int | None]:  # fmt: skip
        """Wanted events with ``after < position <= up_to`` among the first ``look_at`` of them.

        The second value is the position of the last event looked at, None where all were.
        """
        rows = await q.fetch(
            FILTERED_BACKWARDS if newest_first else FILTERED_FORWARDS,
            room_nid, after, up_to, limit, look_at - 1, wanted.types, wanted.type_patterns, wanted.not_types,
            wanted.not_type_patterns, wanted.senders, wanted.not_senders, wanted.body_contains, wanted.related,
            wanted.related_by_senders, wanted.related_by_rel_types, wanted.rel_types, wanted.not_rel_types or None,
        )  # fmt: skip
        boundary = rows[0]["boundary"]
        return [row for row in rows if row["event_nid"] is not None], boundary

    async def members_at(self, q: Queries, room_nid: int, position: int) -> list[Record]:
        """All membership events of the room's state after the event at ``position``."""
        return await q.fetch(MEMBERS_AT, room_nid, position)

    async def state_at_with_members(
        self, q: Queries, room_nid: int, position: int, members: Sequence[str]
    ) -> list[Record]:
        """State after the event at ``position``; of the memberships only those of these users."""
        return await q.fetch(STATE_AT_WITH_MEMBERS, room_nid, position, members)

    async def nearest_in_time(
        self, q: Queries, room_nid: int, *, ranges: Sequence[tuple[int, int]], ts: int, forwards: bool, around: int
    ) -> tuple[str, int, int] | None:
        """(event id, time, position) of the event at or next to ``ts`` in that direction, within these ranges of positions."""
        if not ranges:
            return None
        row = await q.fetchrow(
            NEXT_IN_TIME if forwards else PREVIOUS_IN_TIME,
            room_nid, ranges[0][0] - 1, ranges[-1][1], ts, around, [r[0] for r in ranges], [r[1] for r in ranges],
        )  # fmt: skip
        return None if row is None else (row[0], row[1], row[2])

"""What sync reads of many rooms at once: timelines, states, memberships. One statement, whatever the number of rooms."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from homeserver.storage.events import COLUMNS, IN_FORCE

if TYPE_CHECKING:
    from asyncpg import Record

    from homeserver.storage.database import Queries

# Newest first within each room, down to the top of the highest hole (`floor`, the position below it; NULL for none).
# $4: the most events of one room.
TIMELINES = f"""
SELECT {COLUMNS}, hole.floor FROM unnest($1::int[], $2::bigint[], $3::bigint[]) AS wanted(room_nid, after, up_to)
CROSS JOIN LATERAL (
    SELECT max(high) - 1 AS floor FROM timeline_gaps g
    WHERE g.room_nid = wanted.room_nid AND g.high > wanted.after + 1 AND g.high <= wanted.up_to
) hole
CROSS JOIN LATERAL (
    SELECT * FROM events
    WHERE room_nid = wanted.room_nid AND position > greatest(wanted.after, hole.floor) AND position <= wanted.up_to
    ORDER BY position DESC LIMIT $4
) e
ORDER BY e.room_nid, e.position DESC
"""

CHANGED_ROOMS = """
SELECT wanted.room_nid FROM unnest($1::int[]) AS wanted(room_nid)
WHERE EXISTS (
    SELECT FROM events e WHERE e.room_nid = wanted.room_nid AND e.position > $2 AND e.position <= $3
)
"""

# State as it was at a position, starting from the current one: only what has changed since is looked up in history,
# so that the cost follows the size of the state and not the number of times it changed. $3: members too.
STATES_AT = f"""
SELECT {IN_FORCE} FROM unnest($1::int[], $2::bigint[]) AS wanted(room_nid, position)
CROSS JOIN LATERAL (
    SELECT type, state_key, event_nid, position FROM current_state WHERE room_nid = wanted.room_nid
    UNION ALL
    -- What resolution has taken away since is in no current state.
    SELECT DISTINCT g.type, g.state_key, NULL::bigint, NULL::bigint FROM state_changes g
    WHERE g.room_nid = wanted.room_nid AND g.event_nid IS NULL AND NOT EXISTS (
        SELECT FROM current_state n WHERE n.room_nid = g.room_nid AND n.type = g.type AND n.state_key = g.state_key
    )
) c
CROSS JOIN LATERAL (
    SELECT c.event_nid, c.position WHERE c.position <= wanted.position
    UNION ALL
    (SELECT p.event_nid, p.position FROM state_changes p
     WHERE (c.position IS NULL OR c.position > wanted.position)
       AND p.room_nid = wanted.room_nid AND p.type = c.type AND p.state_key = c.state_key
       AND p.position <= wanted.position
     ORDER BY p.position DESC LIMIT 1)
) s
JOIN events e ON e.event_nid = s.event_nid
WHERE $3 OR c.type <> 'm.room.member'
"""

STATE_VALUES_AT = f"""
SELECT {IN_FORCE} FROM unnest($1::int[], $2::text[], $3::text[], $4::bigint[])
     AS wanted(room_nid, type, state_key, position)
CROSS JOIN LATERAL (
    SELECT event_nid, position FROM state_changes c
    WHERE c.room_nid = wanted.room_nid AND c.type = wanted.type AND c.state_key = wanted.state_key
      AND c.position <= wanted.position
    ORDER BY c.position DESC LIMIT 1
) s JOIN events e USING (event_nid)
"""

# The last value of every state that changed after one position and up to another.
STATES_CHANGED = f"""
SELECT {IN_FORCE} FROM unnest($1::int[], $2::bigint[], $3::bigint[]) AS wanted(room_nid, after, up_to)
CROSS JOIN LATERAL (
    SELECT DISTINCT ON (type, state_key) event_nid, position FROM state_changes c
    WHERE c.room_nid = wanted.room_nid AND c.position > wanted.after AND c.position <= wanted.up_to
    ORDER BY type, state_key, position DESC
) s JOIN events e USING (event_nid)
"""

# One user's membership events in ($3, $4], and before them the one that was in force at $3.
OWN_MEMBERSHIPS = f"""
SELECT {IN_FORCE} FROM unnest($1::int[]) AS wanted(room_nid)
CROSS JOIN LATERAL (
    SELECT c.event_nid, c.position FROM state_changes c
    WHERE c.room_nid = wanted.room_nid AND c.type = 'm.room.member' AND c.state_key = $2 AND c.position <= $4
      AND c.position >= coalesce((
          SELECT max(b.position) FROM state_changes b
          WHERE b.room_nid = wanted.room_nid AND b.type = 'm.room.member' AND b.state_key = $2 AND b.position <= $3
      ), $3)
) s JOIN events e USING (event_nid)
ORDER BY s.position
"""

# Current memberships of those whose membership changed in ($2, $3].
MEMBERS_CHANGED = """
SELECT DISTINCT c.state_key, coalesce(m.membership, 'leave') FROM state_changes c
LEFT JOIN memberships m ON m.room_nid = c.room_nid AND m.user_id = c.state_key
WHERE c.room_nid = ANY($1::int[]) AND c.position > $2 AND c.position <= $3 AND c.type = 'm.room.member'
"""

# $2: those who went after this position too.
MEMBERS_OF = """
SELECT DISTINCT user_id FROM memberships
WHERE room_nid = ANY($1::int[]) AND (membership = 'join' OR position > $2)
"""

# Heroes are wanted only of rooms without a name: bodies are JSON without spaces, so a name that is not empty shows.
SUMMARIES = """
SELECT wanted.room_nid,
    (SELECT count(*) FROM memberships m WHERE m.room_nid = wanted.room_nid AND m.membership = 'join') AS joined,
    (SELECT count(*) FROM memberships m WHERE m.room_nid = wanted.room_nid AND m.membership = 'invite') AS invited,
    CASE WHEN named THEN NULL ELSE ARRAY(
        SELECT m.user_id FROM memberships m
        WHERE m.room_nid = wanted.room_nid AND m.membership IN ('join', 'invite') AND m.user_id <> $2
        ORDER BY m.event_nid LIMIT $3
    ) END AS present,
    CASE WHEN named THEN NULL ELSE ARRAY(
        SELECT m.user_id FROM memberships m
        WHERE m.room_nid = wanted.room_nid AND m.membership IN ('leave', 'ban') AND m.user_id <> $2
        ORDER BY m.event_nid LIMIT $3
    ) END AS gone
FROM unnest($1::int[]) AS wanted(room_nid)
CROSS JOIN LATERAL (
    SELECT EXISTS (
        SELECT FROM current_state s JOIN events e USING (event_nid)
        WHERE s.room_nid = wanted.room_nid AND s.state_key = '' AND (
            s.type = 'm.room.name' AND position('"name":"'::bytea IN e.body) > 0
                AND position('"name":""'::bytea IN e.body) = 0
            OR s.type = 'm.room.canonical_alias' AND position('"alias":"'::bytea IN e.body) > 0
                AND position('"alias":""'::bytea IN e.body) = 0
        )
    ) AS named
) n
"""

PDU_PARTS = """
SELECT e.event_id, e.envelope, r.version FROM events e JOIN rooms r USING (room_nid) WHERE e.event_id = ANY($1::text[])
"""

VERSIONS = "SELECT room_nid, version FROM rooms WHERE room_nid = ANY($1::int[])"

RELATED = """
SELECT e.event_id FROM events e
WHERE e.event_id = ANY($1::text[]) AND EXISTS (
    SELECT FROM relations r
    WHERE r.parent_id = e.event_id AND r.room_nid = e.room_nid
      AND ($2::text[] IS NULL OR r.sender = ANY($2)) AND ($3::text[] IS NULL OR r.rel_type = ANY($3))
)
"""


class Span(NamedTuple):
    """A part of one room's timeline: ``after < position <= up_to``."""

    room_nid: int
    after: int
    up_to: int


class SummaryRow(NamedTuple):
    """Counts of one room; heroes only where it has no name of its own."""

    room_nid: int
    joined: int
    invited: int
    present: list[str] | None
    gone: list[str] | None


class SyncRooms:
    """Reads of rooms by number; events come as records with the columns of events.COLUMNS."""

    async def timelines(self, q: Queries, spans: Sequence[Span], limit: int) -> list[Record]:
        """The newest ``limit`` events of each span, by room, newest first, and the position below the hole where they end."""
        return await q.fetch(TIMELINES, *_columns(spans, 3), limit)

    async def changed_rooms(self, q: Queries, room_nids: Sequence[int], after: int, up_to: int) -> set[int]:
        """Those of the rooms that have events in ``(after, up_to]``."""
        return {row[0] for row in await q.fetch(CHANGED_ROOMS, room_nids, after, up_to)}

    async def states_at(self, q: Queries, places: Sequence[tuple[int, int]], *, members: bool) -> list[Record]:
        """State of rooms after their event at a position: (room_nid, position) each; members only if asked for."""
        return await q.fetch(STATES_AT, *_columns(places, 2), members)

    async def state_values_at(self, q: Queries, wanted: Sequence[tuple[int, str, str, int]]) -> list[Record]:
        """Single values of state: (room_nid, type, state_key, position) each; what was not set then is left out."""
        return await q.fetch(STATE_VALUES_AT, *_columns(wanted, 4))

    async def states_changed(self, q: Queries, spans: Sequence[Span]) -> list[Record]:
        """The last value of every state that changed within each span."""
        return await q.fetch(STATES_CHANGED, *_columns(spans, 3))

    async def own_memberships(
        self, q: Queries, room_nids: Sequence[int], user_id: str, after: int, up_to: int
    ) -> list[Record]:
        """The user's membership events in ``(after, up_to]`` and the ones in force at ``after``, oldest first."""
        return await q.fetch(OWN_MEMBERSHIPS, room_nids, user_id, after, up_to)

    async def members_changed(
        self, q: Queries, room_nids: Sequence[int], after: int, up_to: int
    ) -> list[tuple[str, str]]:
        """(user, current membership in one of the rooms) of those whose membership changed in ``(after, up_to]``."""
        return [(row[0], row[1]) for row in await q.fetch(MEMBERS_CHANGED, room_nids, after, up_to)]

    async def members_of(self, q: Queries, room_nids: Sequence[int], gone_after: int = 2**62) -> set[str]:
        """Everybody who has joined at least one of the rooms, or whose membership changed after ``gone_after``."""
        return {row[0] for row in await q.fetch(MEMBERS_OF, room_nids, gone_after)}

    async def summaries(self, q: Queries, room_nids: Sequence[int], user_id: str, heroes: int) -> list[SummaryRow]:
        """Counts of members, and up to ``heroes`` users other than this one by whom a nameless room is known."""
        return [SummaryRow(*row) for row in await q.fetch(SUMMARIES, room_nids, user_id, heroes)]

    async def pdu_parts(self, q: Queries, event_ids: Sequence[str]) -> dict[str, tuple[bytes, str]]:
        """(envelope, room version) by event id."""
        return {row[0]: (row[1], row[2]) for row in await q.fetch(PDU_PARTS, event_ids)}

    async def versions(self, q: Queries, room_nids: Sequence[int]) -> dict[int, str]:
        """Room versions by number."""
        return {row[0]: row[1] for row in await q.fetch(VERSIONS, room_nids)}

    async def related(
        self, q: Queries, event_ids: Sequence[str], senders: Sequence[str] | None, rel_types: Sequence[str] | None
    ) -> set[str]:
        """Those of the events to which an event of such a sender or with such a relation relates."""
        return {row[0] for row in await q.fetch(RELATED, event_ids, senders, rel_types)}


def _columns(rows: Sequence[tuple[object, ...]], width: int) -> list[list[object]]:
    return [list(column) for column in zip(*rows, strict=True)] if rows else [[] for _ in range(width)]

"""What is shown around results of a search: for all of them in one statement each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from homeserver.storage.events import COLUMNS, IN_FORCE

if TYPE_CHECKING:
    from asyncpg import Record

    from homeserver.storage.database import Queries

MAX_STATE_EVENTS: Final = 2_000
"""Of one room; memberships come last."""

# Events on either side of places ($1 rooms, $2 positions), nearest first, down to a bottom ($3) and up to a top ($4).
AROUND = f"""
SELECT {COLUMNS}, hit.number, e.position < hit.position AS is_before
FROM unnest($1::int[], $2::bigint[], $3::bigint[], $4::bigint[]) WITH ORDINALITY AS hit(room_nid, position, low, high, number)
CROSS JOIN LATERAL (
    (SELECT * FROM events b WHERE b.room_nid = hit.room_nid AND b.position < hit.position AND b.position >= hit.low
     ORDER BY b.position DESC LIMIT $5)
    UNION ALL
    (SELECT * FROM events a WHERE a.room_nid = hit.room_nid AND a.position > hit.position AND a.position <= hit.high
     ORDER BY a.position LIMIT $6)
) e
ORDER BY hit.number, abs(e.position - hit.position)
"""

# Memberships that were in force at a position.
MEMBERS_THEN = """
SELECT wanted.number, wanted.user_id, e.body
FROM unnest($1::bigint[], $2::int[], $3::text[], $4::bigint[]) AS wanted(number, room_nid, user_id, position)
CROSS JOIN LATERAL (
    SELECT c.event_nid FROM state_changes c
    WHERE c.room_nid = wanted.room_nid AND c.type = 'm.room.member' AND c.state_key = wanted.user_id
      AND c.position <= wanted.position
    ORDER BY c.position DESC LIMIT 1
) s JOIN events e USING (event_nid)
"""

# Of rooms that the reader is in ($2 NULL) the state of now, of others that of when he left.
STATES = f"""
SELECT {IN_FORCE}
FROM unnest($1::int[], $2::bigint[]) AS wanted(room_nid, position)
CROSS JOIN LATERAL (
    SELECT * FROM (
        (SELECT c.type, c.event_nid, c.position FROM current_state c
         WHERE c.room_nid = wanted.room_nid AND wanted.position IS NULL)
        UNION ALL
        (SELECT DISTINCT ON (c.type, c.state_key) c.type, c.event_nid, c.position FROM state_changes c
         WHERE c.room_nid = wanted.room_nid AND c.position <= wanted.position
         ORDER BY c.type, c.state_key, c.position DESC)
    ) every ORDER BY (every.type = 'm.room.member'), every.position LIMIT {MAX_STATE_EVENTS}
) s JOIN events e USING (event_nid)
"""


class SearchResults:
    """Reads for many results at once; events come as records with the columns of events.COLUMNS first."""

    async def around(
        self, q: Queries, hits: Sequence[tuple[int, int, int, int]], before: int, after: int
    ) -> list[Record]:
        """Beside those columns `number`, counted from 1, of the hit (room, position, lowest and highest position to show),
        and `is_before`; each side nearest first.
        """
        return await q.fetch(AROUND, *map(list, zip(*hits, strict=True)), before, after)

    async def members_then(
        self, q: Queries, wanted: Sequence[tuple[int, int, str, int]]
    ) -> list[tuple[int, str, bytes]]:
        """(number, user, body of his membership event) for each wanted (number, room, user, position)."""
        rows = await q.fetch(MEMBERS_THEN, *map(list, zip(*wanted, strict=True)))
        return [(row[0], row[1], row[2]) for row in rows]

    async def states(self, q: Queries, rooms: Sequence[tuple[int, int | None]]) -> list[Record]:
        """State of (room, position): as it was after the event there, None for now."""
        return await q.fetch(STATES, *map(list, zip(*rooms, strict=True)))

"""What sliding sync sorts and filters lists by: one statement, whatever the number of rooms."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, NamedTuple

from homeserver.storage.events import IN_FORCE
from homeserver.storage.spaces import content_of, is_link

if TYPE_CHECKING:
    from asyncpg import Record

    from homeserver.storage.database import Queries

# When something last happened: the newest event of the timeline, or an entry of the state that came otherwise.
FACTS = """
SELECT wanted.room_nid,
    greatest(
        (SELECT max(position) FROM events e WHERE e.room_nid = wanted.room_nid AND e.position IS NOT NULL),
        (SELECT max(position) FROM state_changes c
         WHERE c.room_nid = wanted.room_nid AND c.event_nid IS DISTINCT FROM c.position)
    ),
    EXISTS (
        SELECT FROM current_state s
        WHERE s.room_nid = wanted.room_nid AND s.type = 'm.room.encryption' AND s.state_key = ''
    ),
    (SELECT e.body FROM current_state s JOIN events e USING (event_nid)
     WHERE s.room_nid = wanted.room_nid AND s.type = 'm.room.create' AND s.state_key = ''),
    (SELECT e.body FROM current_state s JOIN events e USING (event_nid)
     WHERE s.room_nid = wanted.room_nid AND s.type = 'm.room.name' AND s.state_key = '')
FROM unnest($1::int[]) AS wanted(room_nid)
"""

# The newest event of these types ($2).
BUMPS = """
SELECT wanted.room_nid, (
    SELECT e.position FROM events e
    WHERE e.room_nid = wanted.room_nid AND e.position IS NOT NULL AND e.type = ANY($2::text[])
    ORDER BY e.position DESC LIMIT 1
) FROM unnest($1::int[]) AS wanted(room_nid)
"""

CHILDREN = """
SELECT s.room_nid, s.state_key, e.body FROM current_state s JOIN events e USING (event_nid)
WHERE s.room_nid = ANY($1::int[]) AND s.type = 'm.space.child'
"""

# Keys that resolution emptied after one position and up to another, and that are empty still.
DELETIONS = """
SELECT DISTINCT wanted.room_nid, c.type, c.state_key
FROM unnest($1::int[], $2::bigint[], $3::bigint[]) AS wanted(room_nid, after, up_to)
JOIN state_changes c ON c.room_nid = wanted.room_nid AND c.position > wanted.after AND c.position <= wanted.up_to
WHERE c.event_nid IS NULL AND NOT EXISTS (
    SELECT FROM current_state n WHERE n.room_nid = c.room_nid AND n.type = c.type AND n.state_key = c.state_key
)
"""

# One user's membership event in each room, as of its own position ($2, beside $1).
OWN_MEMBERSHIPS = f"""
SELECT {IN_FORCE} FROM unnest($1::int[], $2::bigint[]) AS wanted(room_nid, position)
JOIN state_changes s ON s.room_nid = wanted.room_nid AND s.type = 'm.room.member' AND s.state_key = $3
    AND s.position = wanted.position
JOIN events e USING (event_nid)
"""


class FactsRow(NamedTuple):
    """What is known of one room. `latest` None: nothing ever happened there that this server knows of."""

    room_nid: int
    latest: int | None
    encrypted: bool
    create: bytes | None
    name: bytes | None


class SlidingRooms:
    """Reads of rooms by number."""

    async def facts(self, q: Queries, room_nids: Sequence[int]) -> list[FactsRow]:
        """What lists are sorted and filtered by."""
        return [FactsRow(*row) for row in await q.fetch(FACTS, room_nids)]

    async def bumps(self, q: Queries, room_nids: Sequence[int], types: Collection[str]) -> dict[int, int | None]:
        """The position of the newest event of one of these types, by room."""
        return {row[0]: row[1] for row in await q.fetch(BUMPS, room_nids, list(types))}

    async def children(self, q: Queries, space_nids: Sequence[int]) -> list[tuple[int, str]]:
        """(space, child) of all `m.space.child` in force in these spaces that make a room a child."""
        rows = await q.fetch(CHILDREN, space_nids)
        return [(row[0], row[1]) for row in rows if is_link(content_of(row[2]))]

    async def deletions(self, q: Queries, spans: Sequence[tuple[int, int, int]]) -> list[tuple[int, str, str]]:
        """(room, type, state key) of what resolution took away within each span (room, after, up to)."""
        return [(row[0], row[1], row[2]) for row in await q.fetch(DELETIONS, *map(list, zip(*spans, strict=True)))]

    async def own_memberships(self, q: Queries, user_id: str, places: Sequence[tuple[int, int]]) -> list[Record]:
        """The user's membership events that came into force at these places (room, position)."""
        return await q.fetch(OWN_MEMBERSHIPS, *map(list, zip(*places, strict=True)), user_id)

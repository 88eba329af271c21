"""What is below a space, and what may be told of the rooms in it: a constant number of statements for a whole tree."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from homeserver.storage.columns import SERVER_OF

if TYPE_CHECKING:
    from homeserver.storage.database import Queries

MAX_CHILD_EVENTS = 1_000
"""Of one space; those that were sent first."""

# Whether a child counts is in its event; here are all that may. Loops end at the depth; LIMIT ends the recursion.
BELOW = """
WITH RECURSIVE below AS (
    SELECT $1::text COLLATE "C" AS room_id, 0 AS depth
    UNION
    SELECT s.state_key, b.depth + 1
    FROM below b JOIN rooms r ON r.room_id = b.room_id
    JOIN current_state s ON s.room_nid = r.room_nid AND s.type = 'm.space.child'
    WHERE b.depth < $2
)
SELECT room_id FROM below LIMIT $3
"""

MEMBERS = f"""
SELECT r.room_id, r.version,
    count(*) FILTER (WHERE m.membership = 'join'),
    coalesce(bool_or(m.membership = 'join' AND {SERVER_OF.format("m.user_id")} = $2), false),
    coalesce(bool_or(m.membership IN ('join', 'invite') AND {SERVER_OF.format("m.user_id")} = $3), false)
FROM rooms r LEFT JOIN memberships m USING (room_nid)
WHERE r.room_id = ANY($1::text[]) AND r.tip_version > 0
GROUP BY r.room_nid
"""

STATE = """
SELECT r.room_id, s.type, s.state_key, e.body
FROM rooms r
CROSS JOIN LATERAL (
    (SELECT c.type, c.state_key, c.event_nid FROM current_state c
     WHERE c.room_nid = r.room_nid AND c.type = ANY($2::text[]) AND c.state_key = '')
    UNION ALL
    (SELECT c.type, c.state_key, c.event_nid FROM current_state c
     WHERE c.room_nid = r.room_nid AND c.type = 'm.space.child' ORDER BY c.event_nid LIMIT $3)
) s JOIN events e USING (event_nid)
WHERE r.room_id = ANY($1::text[])
"""

WITH_SERVER = f"""
SELECT r.room_id FROM rooms r WHERE r.room_id = ANY($1::text[]) AND EXISTS (
    SELECT FROM memberships m WHERE m.room_nid = r.room_nid AND m.membership = 'join'
    AND {SERVER_OF.format("m.user_id")} = $2
)
"""


@dataclass(frozen=True, slots=True)
class RoomMembers:
    """A room's version and members. `has_asker`: whether somebody of the asking server has joined or is invited."""

    room_id: str
    version: str
    joined: int
    has_us: bool
    has_asker: bool


class SpaceTrees:
    """Queries over rooms and the spaces above them."""

    async def below(self, q: Queries, space_id: str, depth: int, limit: int) -> list[str]:
        """The space itself and rooms below it, by the state of spaces that this server knows; some more than once."""
        return [row[0] for row in await q.fetch(BELOW, space_id, depth, limit)]

    async def members(self, q: Queries, room_ids: Sequence[str], us: str, asker: str) -> list[RoomMembers]:
        """Of those of the rooms that are known. `us`, `asker`: names of servers."""
        return [RoomMembers(*row) for row in await q.fetch(MEMBERS, list(room_ids), us, asker)]

    async def state(
        self, q: Queries, room_ids: Sequence[str], types: Sequence[str]
    ) -> list[tuple[str, str, str, bytes]]:
        """(room, type, state key, event body): state of these types with an empty key, and the children."""
        rows = await q.fetch(STATE, list(room_ids), list(types), MAX_CHILD_EVENTS)
        return [(row[0], row[1], row[2], row[3]) for row in rows]

    async def with_server(self, q: Queries, room_ids: Sequence[str], server_name: str) -> set[str]:
        """Those of the rooms in which somebody of this server is."""
        return {row[0] for row in await q.fetch(WITH_SERVER, list(room_ids), server_name)}

"""Which spaces are above a room, and who may see into rooms: from the current state."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import orjson

if TYPE_CHECKING:
    from homeserver.storage.database import Queries

MAX_DEPTH = 3
MAX_LINKS = 20_000

# Links from spaces to rooms, upwards from these rooms; the oldest first, so that links made to crowd others out do not.
LINKS_ABOVE = f"""
WITH RECURSIVE above AS (
    SELECT s.room_nid, s.state_key, s.event_nid, 1 AS depth FROM current_state s
    WHERE s.type = 'm.space.child' AND s.state_key = ANY($1::text[])
    UNION
    SELECT s.room_nid, s.state_key, s.event_nid, a.depth + 1
    FROM above a JOIN rooms r ON r.room_nid = a.room_nid
    JOIN current_state s ON s.type = 'm.space.child' AND s.state_key = r.room_id
    WHERE a.depth < {MAX_DEPTH}
)
SELECT r.room_id, a.state_key, e.body
FROM (SELECT DISTINCT room_nid, state_key, event_nid FROM above) a
JOIN rooms r USING (room_nid) JOIN events e USING (event_nid)
ORDER BY a.event_nid LIMIT {MAX_LINKS}
"""

DOORS = """
SELECT r.room_id, s.type, e.body
FROM rooms r JOIN current_state s USING (room_nid) JOIN events e USING (event_nid)
WHERE r.room_id = ANY($1::text[]) AND s.state_key = ''
  AND s.type IN ('m.room.join_rules', 'm.room.history_visibility')
"""


@dataclass(frozen=True, slots=True)
class Link:
    """A space says that a room is in it."""

    space_id: str
    room_id: str


class SpaceLinks:
    """Queries over `m.space.child`."""

    async def above(self, q: Queries, room_ids: Sequence[str]) -> list[Link]:
        """Links by which spaces lead to these rooms, through at most MAX_DEPTH of them.

        "If `via` is not present, or invalid, the child is ignored" (client-server API, `m.space.child`).
        """
        rows = await q.fetch(LINKS_ABOVE, room_ids)
        return [Link(row[0], row[1]) for row in rows if is_link(content_of(row[2]))]

    async def doors(self, q: Queries, room_ids: Sequence[str]) -> list[tuple[str, str, dict[str, Any]]]:
        """Room, type and content of what says who may enter and look into these rooms."""
        return [(row[0], row[1], content_of(row[2])) for row in await q.fetch(DOORS, room_ids)]


def is_link(content: dict[str, Any]) -> bool:
    """Whether the content of `m.space.child` makes a room a child."""
    via = content.get("via")
    return isinstance(via, list) and bool(via)


def content_of(body: bytes) -> dict[str, Any]:
    """The content of a stored event; empty where it is no object."""
    content = orjson.loads(body).get("content")
    return content if isinstance(content, dict) else {}

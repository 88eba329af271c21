"""Table `events` as a graph: events with what they are built on, from some of them down the room's timeline."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from homeserver.storage.database import Queries

COLUMNS = "e.event_id, e.event_nid, e.position, e.depth, e.flags, e.sender, e.envelope"

NODES = f"SELECT {COLUMNS} FROM events e WHERE e.event_id = ANY($2::text[]) AND e.room_nid = $1"

# The named events, and the timeline's $3 events before the latest of them.
PAST = f"""
WITH named AS MATERIALIZED ({NODES})
SELECT * FROM named
UNION ALL
(
    SELECT {COLUMNS} FROM events e
    WHERE e.room_nid = $1 AND e.position < (SELECT max(position) FROM named)
    ORDER BY e.position DESC LIMIT $3
)
"""

ROOM_OF = "SELECT r.room_id FROM events e JOIN rooms r USING (room_nid) WHERE e.event_id = $1"


class StoredNode(NamedTuple):
    """One event without its content. `position` None: it is on no timeline (outlier, soft-failed, rejected)."""

    event_id: str
    event_nid: int
    position: int | None
    depth: int
    flags: int
    sender: str
    envelope: bytes


class EventGraph:
    """Reads the graph of one room. Events of other rooms are as unknown as those that do not exist."""

    async def nodes(self, q: Queries, room_nid: int, event_ids: Sequence[str]) -> dict[str, StoredNode]:
        """By event id; unknown ones are left out."""
        return {row[0]: StoredNode(*row) for row in await q.fetch(NODES, room_nid, event_ids)}

    async def past(
        self, q: Queries, room_nid: int, event_ids: Sequence[str], below: int
    ) -> dict[str, StoredNode]:  # fmt: skip
        """These events, and the `below` newest of the timeline before the latest of them, by event id."""
        return {row[0]: StoredNode(*row) for row in await q.fetch(PAST, room_nid, event_ids, below)}

    async def room_of(self, q: Queries, event_id: str) -> str | None:
        """The room id of an event; None where it is unknown."""
        room_id = await q.fetchval(ROOM_OF, event_id)
        return None if room_id is None else str(room_id)

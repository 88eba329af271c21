"""Table `events`, read: single events, a room's timeline, events by id. Written by event_writes.py."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from asyncpg import Record

    from homeserver.storage.database import Queries

# What a TimelineEvent is made of, in the order of StoredEvent's fields.
COLUMNS = """e.event_nid, e.position, e.room_nid, e.event_id, e.type, e.state_key, e.sender,
       e.origin_server_ts, e.depth, e.flags, e.body, e.unsigned"""

# The same of entries of a room's state, rows of `current_state` or `state_changes` under the name `s`.
IN_FORCE = COLUMNS.replace("e.position", "s.position")

# To readers, events outside of the timeline are not there.
BY_IDS = f"SELECT {COLUMNS} FROM events e WHERE e.event_id = ANY($1::text[]) AND e.position IS NOT NULL"

BY_NIDS = f"SELECT {COLUMNS} FROM events e WHERE e.event_nid = ANY($1::bigint[]) ORDER BY e.event_nid"

ROOM_OF = (
    "SELECT r.room_id FROM events e JOIN rooms r USING (room_nid) WHERE e.event_id = $1 AND e.position IS NOT NULL"
)

ENVELOPES = "SELECT event_id, body, envelope FROM events WHERE event_id = ANY($1::text[])"

# Newest first. Rejected and soft-failed events have no position.
BACKWARDS = f"""
SELECT {COLUMNS} FROM events e
WHERE e.room_nid = $1 AND e.position > $2 AND e.position <= $3
ORDER BY e.position DESC LIMIT $4
"""

FORWARDS = f"""
SELECT {COLUMNS} FROM events e
WHERE e.room_nid = $1 AND e.position > $2 AND e.position <= $3
ORDER BY e.position LIMIT $4
"""

# Events that were outliers first have positions beyond all numbers.
LAST = """
SELECT greatest((SELECT max(event_nid) FROM events), (SELECT max(position) FROM events WHERE position <> event_nid), 0)
"""

BY_NIDS_WITH_ROOMS = f"""
SELECT {COLUMNS}, r.room_id FROM events e JOIN rooms r USING (room_nid)
WHERE e.event_nid = ANY($1::bigint[]) ORDER BY e.event_nid
"""

POSITIONS = "SELECT event_nid, position FROM events WHERE event_nid = ANY($1::bigint[])"


class Events:
    """Reads events as records with the columns of COLUMNS."""

    async def by_ids(self, q: Queries, event_ids: Sequence[str]) -> list[Record]:
        """Events with these ids, of any room, in no order; unknown ids are left out."""
        return await q.fetch(BY_IDS, event_ids)

    async def by_nids(self, q: Queries, event_nids: Sequence[int]) -> list[Record]:
        """Events with these numbers, in order."""
        return await q.fetch(BY_NIDS, event_nids)

    async def room_of(self, q: Queries, event_id: str) -> str | None:
        """The room in whose timeline an event is."""
        room_id: str | None = await q.fetchval(ROOM_OF, event_id)
        return room_id

    async def envelopes(self, q: Queries, event_ids: Sequence[str]) -> dict[str, tuple[bytes, bytes]]:
        """(body, envelope) by event id: the two halves of the PDU."""
        rows = await q.fetch(ENVELOPES, event_ids)
        return {row[0]: (row[1], row[2]) for row in rows}

    async def backwards(self, q: Queries, room_nid: int, *, after: int, up_to: int, limit: int) -> list[Record]:
        """Newest first: events with ``after < position <= up_to``."""
        return await q.fetch(BACKWARDS, room_nid, after, up_to, limit)

    async def forwards(self, q: Queries, room_nid: int, *, after: int, up_to: int, limit: int) -> list[Record]:
        """Oldest first: events with ``after < position <= up_to``."""
        return await q.fetch(FORWARDS, room_nid, after, up_to, limit)

    async def last(self, q: Queries) -> int:
        """The highest number or position given to an event so far; where the events stream continues."""
        return int(await q.fetchval(LAST))

    async def positions(self, q: Queries, event_nids: Sequence[int]) -> dict[int, int | None]:
        """Positions by number of those that are stored: asked after a commit whose answer was lost."""
        return {row[0]: row[1] for row in await q.fetch(POSITIONS, event_nids)}

    async def by_nids_with_rooms(self, q: Queries, event_nids: Sequence[int]) -> list[Record]:
        """Events with these numbers, in order, with their room ids."""
        return await q.fetch(BY_NIDS_WITH_ROOMS, event_nids)

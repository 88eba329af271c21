"""Tables `rooms`, `current_state` and `state_changes`, read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import orjson

from homeserver.storage.events import IN_FORCE
from homeserver.storage.timeline_gaps import Gap

if TYPE_CHECKING:
    from asyncpg import Record

    from homeserver.storage.database import Queries

# What is unusual about the room's line (decision 0017) is in small indexes: nothing at all in rooms of this server alone.
ROOM = """
SELECT room_nid, room_id, version, extremities, depth, tip_version,
    (SELECT json_agg(json_build_array(low, high, missing) ORDER BY high) FROM timeline_gaps g WHERE g.room_nid = r.room_nid),
    (SELECT json_agg(DISTINCT jsonb_build_array(type, state_key)) FROM state_changes c
     WHERE c.room_nid = r.room_nid AND c.event_nid IS NULL),
    (SELECT max(position) FROM state_changes c WHERE c.room_nid = r.room_nid AND c.event_nid IS DISTINCT FROM c.position)
FROM rooms r WHERE room_id = $1
"""

VERSION = "SELECT version FROM rooms WHERE room_id = $1"

CREATE = (
    "INSERT INTO rooms (room_id, version, created_ms) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING RETURNING room_nid"
)

CURRENT_STATE = f"""
SELECT {IN_FORCE} FROM current_state s JOIN events e USING (event_nid) WHERE s.room_nid = $1
"""

# State as it was when only events up to position $2 had happened.
STATE_AT = f"""
SELECT {IN_FORCE} FROM (
    SELECT DISTINCT ON (type, state_key) event_nid, position FROM state_changes
    WHERE room_nid = $1 AND position <= $2
    ORDER BY type, state_key, position DESC
) s JOIN events e USING (event_nid)
"""

# The same for some state only: parallel arrays of types and state keys.
STATE_AT_FOR_KEYS = f"""
SELECT {IN_FORCE} FROM unnest($3::text[], $4::text[]) AS wanted(type, state_key)
CROSS JOIN LATERAL (
    SELECT event_nid, position FROM state_changes c
    WHERE c.room_nid = $1 AND c.type = wanted.type AND c.state_key = wanted.state_key AND c.position <= $2
    ORDER BY c.position DESC LIMIT 1
) s JOIN events e USING (event_nid)
"""

# The state event that came after event $4, where that last was in force.
NEXT_STATE_CHANGE = f"""
SELECT {IN_FORCE} FROM state_changes s JOIN events e USING (event_nid)
WHERE s.room_nid = $1 AND s.type = $2 AND s.state_key = $3 AND s.position > (
    SELECT max(position) FROM state_changes p
    WHERE p.room_nid = $1 AND p.type = $2 AND p.state_key = $3 AND p.event_nid = $4
)
ORDER BY s.position LIMIT 1
"""

# Waits for whoever is writing into these rooms: a statement whose answer was lost, most of all.
AWAIT_WRITERS = "SELECT room_nid FROM rooms WHERE room_nid = ANY($1::int[]) ORDER BY room_nid FOR UPDATE"


NEVER = -(2**62)


@dataclass(frozen=True, slots=True)
class RoomRow:
    """One row of `rooms`."""

    room_nid: int
    room_id: str
    version: str
    extremities: tuple[str, ...]
    depth: int
    tip_version: int
    gaps: tuple[Gap, ...] = ()
    emptied: tuple[tuple[str, str], ...] = ()
    """Keys of the state that resolution has ever left empty."""
    resolved_at: int = NEVER
    """Where an entry of the state last came into force otherwise than by its own event."""


class Rooms:
    """Reads rooms and their state; events come as records with the columns of events.COLUMNS."""

    async def get(self, q: Queries, room_id: str) -> RoomRow | None:
        """The row of a room that has at least one event."""
        row = await q.fetchrow(ROOM, room_id)
        if row is None or row["tip_version"] == 0:
            return None
        gaps = tuple(Gap(low, high, tuple(missing)) for low, high, missing in orjson.loads(row[6] or b"[]"))
        emptied = tuple((event_type, state_key) for event_type, state_key in orjson.loads(row[7] or b"[]"))
        resolved_at = NEVER if row[8] is None else row[8]
        return RoomRow(row[0], row[1], row[2], tuple(row[3]), row[4], row[5], gaps, emptied, resolved_at)

    async def version(self, q: Queries, room_id: str) -> str | None:
        """The version of a room, though it has no event but invitations."""
        version = await q.fetchval(VERSION, room_id)
        return None if version is None else str(version)

    async def create(self, q: Queries, room_id: str, version: str, created_ms: int) -> int | None:
        """A row for a room that has no event yet; None where the id is taken."""
        number = await q.fetchval(CREATE, room_id, version, created_ms)
        return None if number is None else int(number)

    async def current_state(self, q: Queries, room_nid: int) -> list[Record]:
        """All current state events of a room."""
        return await q.fetch(CURRENT_STATE, room_nid)

    async def next_state_change(
        self, q: Queries, room_nid: int, event_type: str, state_key: str, event_nid: int
    ) -> Record | None:
        """The state event that replaced this one; None where none did, or it never was in force."""
        return await q.fetchrow(NEXT_STATE_CHANGE, room_nid, event_type, state_key, event_nid)

    async def await_writers(self, q: Queries, room_nids: Sequence[int]) -> None:
        """Return when every write that is under way in these rooms has been committed or undone."""
        await q.execute(AWAIT_WRITERS, room_nids)

    async def state_at(self, q: Queries, room_nid: int, position: int) -> list[Record]:
        """All state after the event at ``position``; positions of the events are those since when they were in force."""
        return await q.fetch(STATE_AT, room_nid, position)

    async def state_at_for_keys(
        self, q: Queries, room_nid: int, position: int, keys: Sequence[tuple[str, str]]
    ) -> list[Record]:
        """Some state after the event at ``position``."""
        return await q.fetch(STATE_AT_FOR_KEYS, room_nid, position, [k[0] for k in keys], [k[1] for k in keys])

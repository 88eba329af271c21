"""Table `events`, written: events outside of the timeline (decision 0017), and rows of rooms we come into."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from homeserver.storage.database import Queries

# Arrays of different lengths do not fit into one array: they come as text, '{1,2}'.
INSERT = """
INSERT INTO events (event_nid, room_nid, depth, origin_server_ts, flags, event_id, type, state_key, sender, body, envelope,
                    auth_nids)
SELECT event_nid, $1, depth, origin_server_ts, flags, event_id, type, state_key, sender, body, envelope,
       auth_nids::bigint[]
FROM unnest($2::bigint[], $3::bigint[], $4::bigint[], $5::smallint[], $6::text[], $7::text[], $8::text[], $9::text[],
            $10::bytea[], $11::bytea[], $12::text[])
     AS g(event_nid, depth, origin_server_ts, flags, event_id, type, state_key, sender, body, envelope, auth_nids)
ON CONFLICT (event_id) DO NOTHING
"""

ENSURE_ROOM = """
WITH made AS (
    INSERT INTO rooms (room_id, version, created_ms) VALUES ($1, $2, $3) ON CONFLICT (room_id) DO NOTHING
    RETURNING room_nid, version
)
SELECT room_nid, version FROM made UNION ALL SELECT room_nid, version FROM rooms WHERE room_id = $1
"""

# `tip_version` 0: nothing has ever been in the room's timeline.
CORRECT_VERSION = "UPDATE rooms SET version = $2 WHERE room_id = $1 AND version <> $2 AND tip_version = 0"


class Outliers:
    """Writes events that are on no timeline."""

    async def insert(self, q: Queries, room_nid: int, rows: Sequence[tuple[Any, ...]]) -> None:
        """Rows of (event_nid, depth, origin_server_ts, flags, event_id, type, state_key, sender, body, envelope, auth_nids).

        An event that somebody else has stored meanwhile stays as it is.
        """
        await q.execute(INSERT, room_nid, *(list(column) for column in zip(*rows, strict=True)))

    async def ensure_room(self, q: Queries, room_id: str, version: str, now_ms: int) -> tuple[int, str]:
        """(room_nid, version) of the room's row, made if there is none."""
        row = await q.fetchrow(ENSURE_ROOM, room_id, version, now_ms)
        if row is None:  # made by somebody else between the statement's snapshot and its insert
            row = await q.fetchrow(ENSURE_ROOM, room_id, version, now_ms)
        assert row is not None
        return row[0], row[1]

    async def correct_version(self, q: Queries, room_id: str, version: str) -> None:
        """The room's own events say what version it has; an invitation, which anybody can send, may have said otherwise."""
        await q.execute(CORRECT_VERSION, room_id, version)

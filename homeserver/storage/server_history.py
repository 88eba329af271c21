"""What decides about the part of a room's history that one server may see."""

from __future__ import annotations

from typing import TYPE_CHECKING

from homeserver.storage.columns import SERVER_OF

if TYPE_CHECKING:
    from asyncpg import Record

    from homeserver.storage.database import Queries

# What was in force just before position $2, and what changed from there to $3: the visibility, and the memberships of
# one server's users.
SERVER_CHANGES = f"""
SELECT c.type, c.state_key, c.position, e.body FROM (
    (SELECT type, state_key, position, event_nid FROM state_changes
     WHERE room_nid = $1 AND type = 'm.room.history_visibility' AND state_key = '' AND position < $2
     ORDER BY position DESC LIMIT 1)
    UNION ALL
    SELECT type, state_key, position, event_nid FROM state_changes
    WHERE room_nid = $1 AND type = 'm.room.history_visibility' AND state_key = '' AND position BETWEEN $2 AND $3
    UNION ALL
    (SELECT DISTINCT ON (state_key) type, state_key, position, event_nid FROM state_changes
     WHERE room_nid = $1 AND type = 'm.room.member' AND position < $2
       AND {SERVER_OF.format("state_key")} = $4
     ORDER BY state_key, position DESC)
    UNION ALL
    SELECT type, state_key, position, event_nid FROM state_changes
    WHERE room_nid = $1 AND type = 'm.room.member' AND position BETWEEN $2 AND $3
      AND {SERVER_OF.format("state_key")} = $4
) c LEFT JOIN events e USING (event_nid)
ORDER BY c.position
"""


class ServerHistoryRows:
    """Reads `state_changes` with one server in mind."""

    async def changes(self, q: Queries, room_nid: int, server_name: str, first: int, last: int) -> list[Record]:
        """(type, state key, position, body) in order: enough for the events from `first` to `last`, both included.

        `body` is None where resolution took the entry away.
        """
        return await q.fetch(SERVER_CHANGES, room_nid, first, last, server_name)

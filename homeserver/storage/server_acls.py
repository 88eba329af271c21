"""Which servers rooms let in: the current `m.room.server_acl` of many rooms at once."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from homeserver.storage.database import Queries

CURRENT = """
SELECT r.room_id, e.event_id, e.body
FROM rooms r
JOIN current_state c ON c.room_nid = r.room_nid AND c.type = 'm.room.server_acl' AND c.state_key = ''
JOIN events e ON e.event_nid = c.event_nid
WHERE r.room_id = ANY($1::text[])
"""


class ServerAclRows:
    """Reads state."""

    async def current(self, q: Queries, room_ids: Collection[str]) -> list[tuple[str, str, bytes]]:
        """(room id, event id, event as clients see it) of those that have one."""
        return [(row[0], row[1], row[2]) for row in await q.fetch(CURRENT, list(room_ids))]

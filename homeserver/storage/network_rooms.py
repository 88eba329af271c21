"""Table `network_rooms`: rooms that application services list for their networks, beside the public directory."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from homeserver.storage.room_directory import PublishedRoom

if TYPE_CHECKING:
    from homeserver.storage.database import Queries

LIST = """
INSERT INTO network_rooms (appservice_id, network_id, room_nid, listed_ms)
SELECT $1, $2, room_nid, $4 FROM rooms WHERE room_id = $3
ON CONFLICT DO NOTHING
"""

UNLIST = """
DELETE FROM network_rooms n USING rooms r
WHERE n.appservice_id = $1 AND n.network_id = $2 AND r.room_id = $3 AND n.room_nid = r.room_nid
"""

OF_NETWORK = """
SELECT r.room_id FROM network_rooms n JOIN rooms r USING (room_nid) WHERE n.appservice_id = $1 AND n.network_id = $2
"""

LISTED = """
SELECT r.room_id, n.room_nid,
       (SELECT count(*) FROM memberships m WHERE m.room_nid = n.room_nid AND m.membership = 'join')
FROM (SELECT DISTINCT room_nid FROM network_rooms) n JOIN rooms r USING (room_nid)
"""

STATE_OF_LISTED = """
SELECT s.room_nid, s.type, e.body
FROM (SELECT DISTINCT room_nid FROM network_rooms) n
CROSS JOIN unnest($1::text[]) AS wanted(type)
JOIN current_state s ON s.room_nid = n.room_nid AND s.type = wanted.type AND s.state_key = ''
JOIN events e ON e.event_nid = s.event_nid
"""


class NetworkRoomRows:
    """Queries over listed rooms; what PublishedRooms asks is answered for all networks together."""

    async def put(self, q: Queries, appservice_id: str, network_id: str, room_id: str, now_ms: int) -> None:
        """List a room; listing it again changes nothing."""
        await q.execute(LIST, appservice_id, network_id, room_id, now_ms)

    async def remove(self, q: Queries, appservice_id: str, network_id: str, room_id: str) -> None:
        """List a room no longer."""
        await q.execute(UNLIST, appservice_id, network_id, room_id)

    async def of_network(self, q: Queries, appservice_id: str, network_id: str) -> set[str]:
        """Ids of a network's rooms."""
        return {row[0] for row in await q.fetch(OF_NETWORK, appservice_id, network_id)}

    async def published(self, q: Queries) -> list[PublishedRoom]:
        """All listed rooms."""
        return [PublishedRoom(*row) for row in await q.fetch(LISTED)]

    async def state_of_published(self, q: Queries, types: Sequence[str]) -> list[tuple[int, str, bytes]]:
        """(room, type, event body) of the current state of all listed rooms, of these types."""
        return [(row[0], row[1], row[2]) for row in await q.fetch(STATE_OF_LISTED, types)]

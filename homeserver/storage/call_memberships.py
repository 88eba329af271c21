"""Call memberships in the current state of rooms."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import orjson

if TYPE_CHECKING:
    from homeserver.storage.database import Queries

# An empty content is one that has ended: those stay in the state for ever, and are many.
STANDING = """
SELECT r.room_id, e.sender, e.body
FROM rooms r JOIN current_state s USING (room_nid) JOIN events e USING (event_nid)
WHERE r.room_id = ANY($1::text[]) AND s.type = 'org.matrix.msc3401.call.member'
  AND position('"content":{}'::bytea in e.body) = 0
"""


class StandingMembership(NamedTuple):
    """One that has not ended, by the room's current state."""

    room_id: str
    sender: str
    content: dict[str, Any]


class CallMembershipRows:
    """Queries over `org.matrix.msc3401.call.member`."""

    async def standing(self, q: Queries, room_ids: Sequence[str]) -> list[StandingMembership]:
        """Memberships of these rooms that have not ended."""
        rows = await q.fetch(STANDING, room_ids)
        return [StandingMembership(row[0], row[1], orjson.loads(row[2]).get("content") or {}) for row in rows]

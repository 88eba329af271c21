"""Call memberships: in the current state of rooms, and in their sticky events."""

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


MAX_STICKY = 500
# The last first: of one key it is the one that counts.
STICKY = f"""
SELECT e.type, e.origin_server_ts, s.expires_ms, e.body
FROM rooms r JOIN sticky_events s USING (room_nid) JOIN events e USING (event_nid)
WHERE r.room_id = $1 AND s.expires_ms > $3 AND e.sender = $2
  AND e.type IN ('org.matrix.msc4143.rtc.member', 'm.rtc.member') AND e.flags & 14 = 0
ORDER BY s.event_nid DESC LIMIT {MAX_STICKY}
"""


class StickyMembership(NamedTuple):
    """A sticky event about a membership: that it began, or that it ended."""

    type: str
    sent_ms: int
    expires_ms: int
    content: dict[str, Any]


class StandingMembership(NamedTuple):
    """One that has not ended, by the room's current state."""

    room_id: str
    sender: str
    content: dict[str, Any]


class CallMembershipRows:
    """Queries over `org.matrix.msc3401.call.member` and its sticky successors."""

    async def standing(self, q: Queries, room_ids: Sequence[str]) -> list[StandingMembership]:
        """Memberships of these rooms that have not ended."""
        rows = await q.fetch(STANDING, room_ids)
        return [StandingMembership(row[0], row[1], orjson.loads(row[2]).get("content") or {}) for row in rows]

    async def sticky(self, q: Queries, room_id: str, user_id: str, now_ms: int) -> list[StickyMembership]:
        """What a user's sticky events say of his memberships in this room, newest first."""
        rows = await q.fetch(STICKY, room_id, user_id, now_ms)
        return [StickyMembership(row[0], row[1], row[2], orjson.loads(row[3]).get("content") or {}) for row in rows]

"""Table `redacted_bodies`: what redacted events said, for a while (MSC2815). Written by event_writes.py."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from homeserver.storage.database import Queries

# Who erased himself has taken that back too.
GET = """
SELECT b.body FROM redacted_bodies b JOIN events e USING (event_nid)
WHERE b.event_nid = $1 AND b.redacted_ms >= $2
  AND NOT EXISTS (SELECT FROM users u WHERE u.user_id = e.sender AND u.erased)
"""

PRUNE = """
DELETE FROM redacted_bodies WHERE event_nid IN (
    SELECT event_nid FROM redacted_bodies WHERE redacted_ms < $1 ORDER BY redacted_ms LIMIT $2
)
"""


class RedactedBodies:
    """Statements over redacted_bodies."""

    async def get(self, q: Queries, event_nid: int, since_ms: int) -> bytes | None:
        """The event's body from before it was redacted, if that happened since then."""
        body: bytes | None = await q.fetchval(GET, event_nid, since_ms)
        return body

    async def prune(self, q: Queries, before_ms: int, limit: int) -> None:
        """Forget the oldest of those that were redacted before."""
        await q.execute(PRUNE, before_ms, limit)

"""Which files a room's events name: `mxc://` URIs in their content, as far as that is readable here."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from homeserver.storage.database import Queries

# Counted repetitions ({1,255}) would make each match take milliseconds.
# A stretch of the room, newest first; in the last row, with NULL for a URI, the position where the next one goes on.
STRETCH = r"""
WITH stretch AS (
    SELECT position, body FROM events
    WHERE room_nid = $1 AND position < $2 ORDER BY position DESC LIMIT $3
)
SELECT DISTINCT found[1], found[2], NULL::bigint FROM stretch
CROSS JOIN LATERAL regexp_matches(convert_from(body, 'UTF8'), 'mxc://([^/"\\\s]+)/([A-Za-z0-9_-]+)', 'g') AS found
WHERE position('mxc://'::bytea IN body) > 0 AND length(found[1]) <= 255 AND length(found[2]) <= 255
UNION ALL
SELECT NULL, NULL, min(position) FROM stretch
"""


class RoomMediaRows:
    """One query."""

    async def stretch(
        self, q: Queries, room_nid: int, before: int, limit: int
    ) -> tuple[set[tuple[str, str]], int | None]:
        """Server names and media ids in the `limit` events before a position, and where to go on; None at the end."""
        rows = await q.fetch(STRETCH, room_nid, before, limit)
        return {(row[0], row[1]) for row in rows if row[0] is not None}, rows[-1][2]

"""Files of this server on their way out: rows leave `media` for `condemned_blobs` in one statement, the bytes follow."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from homeserver.storage.database import Queries

CONDEMN = """
WITH gone AS (DELETE FROM media WHERE {which} AND size IS NOT NULL RETURNING media_id)
INSERT INTO condemned_blobs (blob, condemned_ms) SELECT media_id, $1 FROM gone
ON CONFLICT (blob) DO UPDATE SET condemned_ms = excluded.condemned_ms
RETURNING blob
"""

THESE = CONDEMN.format(which="media_id = ANY($2::text[])")

OF_USER = CONDEMN.format(
    which="media_id IN (SELECT media_id FROM media WHERE user_id = $2 AND size IS NOT NULL ORDER BY created_ms LIMIT $3)"
)

# A batch, of ids after `$5`. `$6`: ids of those that stay.
UNUSED = CONDEMN.format(
    which="""media_id IN (
    SELECT m.media_id FROM media m
    WHERE m.media_id > $5 AND m.size > $3 AND coalesce(m.last_access_ms, m.created_ms) < $2 AND NOT m.protected
      AND m.media_id <> ALL($6::text[])
    ORDER BY m.media_id LIMIT $4
)"""
)

# Pictures of people and of rooms; a room's may come with a smaller one. `$1`: mxc:// and this server's name, as a prefix.
PICTURES = r"""
SELECT substr(avatar_url, length($1) + 1) FROM profiles WHERE starts_with(avatar_url, $1)
UNION
SELECT substr(uri[1], length($1) + 1) FROM (
    SELECT regexp_matches(convert_from(e.body, 'UTF8'), 'mxc://[^/"\\\s]+/[A-Za-z0-9_-]+', 'g') AS uri
    FROM current_state s JOIN events e USING (event_nid)
    WHERE s.type = 'm.room.avatar' AND s.state_key = '' AND s.room_nid IN (SELECT room_nid FROM rooms)
) AS rooms WHERE starts_with(uri[1], $1)
"""

LEFT_OVER = "SELECT blob FROM condemned_blobs WHERE condemned_ms < $1 ORDER BY condemned_ms LIMIT $2"

GONE = "DELETE FROM condemned_blobs WHERE blob = ANY($1::text[])"


class MediaRemovalRows:
    """Queries that condemn. Each returns the blobs, which are media ids, whose bytes are to be removed now."""

    async def condemn(self, q: Queries, media_ids: Sequence[str], now_ms: int) -> list[str]:
        """These files, where they exist and are complete."""
        return [row[0] for row in await q.fetch(THESE, now_ms, list(media_ids))]

    async def condemn_of_user(self, q: Queries, user_id: str, now_ms: int, limit: int) -> list[str]:
        """The oldest files of a user."""
        return [row[0] for row in await q.fetch(OF_USER, now_ms, user_id, limit)]

    async def condemn_unused(
        self, q: Queries, now_ms: int, before_ms: int, larger_than: int, limit: int, after: str, kept: Sequence[str]
    ) -> list[str]:
        """Files larger than so many bytes for which nobody has asked since `before_ms`, except protected ones and the `kept`;
        in the order of their ids, of which only those `after` one are looked at.
        """
        rows = await q.fetch(UNUSED, now_ms, before_ms, larger_than, limit, after, list(kept))
        return [row[0] for row in rows]

    async def pictures(self, q: Queries, prefix: str) -> list[str]:
        """Ids of the files of `prefix` (mxc://name/) that people and rooms have as their picture."""
        return [row[0] for row in await q.fetch(PICTURES, prefix)]

    async def left_over(self, q: Queries, condemned_before_ms: int, limit: int) -> list[str]:
        """Blobs whose removal a crash has interrupted."""
        return [row[0] for row in await q.fetch(LEFT_OVER, condemned_before_ms, limit)]

    async def gone(self, q: Queries, blobs: Sequence[str]) -> None:
        """Their bytes are removed."""
        await q.execute(GONE, list(blobs))

"""Tables `remote_media` and `remote_media_thumbnails`: files of other servers that are kept for a while."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from homeserver.storage.media import FileFacts

if TYPE_CHECKING:
    from homeserver.storage.database import Queries

# Always one row: a file may be in quarantine that is not here.
FIND = """
SELECT blob, size, content_type, file_name, last_access_ms,
    EXISTS (SELECT FROM quarantined_media q WHERE q.server_name = $1 AND q.media_id = $2)
    OR EXISTS (SELECT FROM quarantined_media q WHERE q.sha256 = here.sha256)
FROM (SELECT) AS one
LEFT JOIN remote_media AS here ON here.server_name = $1 AND here.media_id = $2 AND here.standing = 'here'
"""

TOUCH = "UPDATE remote_media SET last_access_ms = $2 WHERE blob = $1"

ANNOUNCE = """
INSERT INTO remote_media (blob, server_name, media_id, fetched_ms, last_access_ms) VALUES ($1, $2, $3, $4, $4)
"""

# Another process may have fetched the same file meanwhile: then that one stays.
ARRIVED = """
UPDATE remote_media SET standing = 'here', size = $2, bytes = $2, content_type = $3, file_name = $4, sha256 = $5
WHERE blob = $1
AND NOT EXISTS (
    SELECT FROM remote_media AS other
    WHERE other.server_name = remote_media.server_name AND other.media_id = remote_media.media_id AND other.standing = 'here'
)
RETURNING blob
"""

TOTAL = "SELECT coalesce(sum(bytes), 0)::bigint FROM remote_media WHERE standing = 'here'"

# Everything beyond the `$1` bytes that were asked for last.
CONDEMN = """
WITH ranked AS (
    SELECT blob, sum(bytes) OVER (ORDER BY last_access_ms DESC, number DESC) AS until
    FROM remote_media WHERE standing = 'here'
)
UPDATE remote_media SET standing = 'going' WHERE blob IN (SELECT blob FROM ranked WHERE until > $1) RETURNING blob
"""

# A batch of what nobody has asked for since `$1`.
CONDEMN_UNUSED = """
UPDATE remote_media SET standing = 'going' WHERE blob IN (
    SELECT blob FROM remote_media WHERE standing = 'here' AND last_access_ms < $1 ORDER BY last_access_ms, number LIMIT $2
) RETURNING blob
"""

LEFT_OVER = """
UPDATE remote_media SET standing = 'going' WHERE standing = 'going' OR (standing = 'arriving' AND fetched_ms < $1)
RETURNING blob
"""

FORGET = "DELETE FROM remote_media WHERE blob = ANY($1::text[])"

THUMBNAIL = """
SELECT content_type, size FROM remote_media_thumbnails WHERE blob = $1 AND width = $2 AND height = $3 AND method = $4
"""

ADD_THUMBNAIL = """
WITH kept AS (
    UPDATE remote_media SET bytes = bytes + $6 WHERE blob = $1 AND standing = 'here' RETURNING blob
)
INSERT INTO remote_media_thumbnails (blob, width, height, method, content_type, size)
SELECT blob, $2, $3, $4, $5, $6 FROM kept
ON CONFLICT (blob, width, height, method) DO UPDATE SET content_type = $5, size = $6
RETURNING blob
"""


@dataclass(frozen=True, slots=True)
class StoredRemoteMedia:
    """A file of another server; its bytes are in `blob`."""

    blob: str
    size: int
    content_type: str
    file_name: str | None
    last_access_ms: int


@dataclass(frozen=True, slots=True)
class KnownFile:
    """What is known of a name: the file, if it is here, and whether nobody may have it."""

    stored: StoredRemoteMedia | None
    quarantined: bool


class RemoteMediaRows:
    """Queries over files of other servers and their thumbnails."""

    async def find(self, q: Queries, server_name: str, media_id: str) -> KnownFile:
        """The file, if it is here."""
        *file, quarantined = (await q.fetch(FIND, server_name, media_id))[0]
        return KnownFile(StoredRemoteMedia(*file) if file[0] is not None else None, quarantined)

    async def touch(self, q: Queries, blob: str, now_ms: int) -> None:
        """Somebody asked for it."""
        await q.execute(TOUCH, blob, now_ms)

    async def announce(self, q: Queries, blob: str, server_name: str, media_id: str, now_ms: int) -> None:
        """A blob is about to be written."""
        await q.execute(ANNOUNCE, blob, server_name, media_id, now_ms)

    async def arrived(self, q: Queries, blob: str, facts: FileFacts) -> bool:
        """The blob is written; False where there is another one of the same file already."""
        row = await q.fetchval(ARRIVED, blob, facts.size, facts.content_type, facts.file_name, facts.sha256)
        return row is not None

    async def total(self, q: Queries) -> int:
        """Bytes of all files that are here, and of their thumbnails."""
        total: int = await q.fetchval(TOTAL)
        return total

    async def condemn(self, q: Queries, keep_bytes: int) -> list[str]:
        """Blobs to be removed so that at most `keep_bytes` are left; they are found no more."""
        return [row[0] for row in await q.fetch(CONDEMN, keep_bytes)]

    async def condemn_unused(self, q: Queries, before_ms: int, limit: int) -> list[str]:
        """The same for at most `limit` of those that nobody has asked for since `before_ms`."""
        return [row[0] for row in await q.fetch(CONDEMN_UNUSED, before_ms, limit)]

    async def left_over(self, q: Queries, begun_before_ms: int) -> list[str]:
        """Blobs that are to be removed since some crash: removals that were not finished, and arrivals."""
        return [row[0] for row in await q.fetch(LEFT_OVER, begun_before_ms)]

    async def forget(self, q: Queries, blobs: Sequence[str]) -> None:
        """The blobs are gone."""
        await q.execute(FORGET, list(blobs))

    async def thumbnail(self, q: Queries, blob: str, width: int, height: int, method: str) -> tuple[str, int] | None:
        """Content type and size of a thumbnail that exists."""
        row = await q.fetchrow(THUMBNAIL, blob, width, height, method)
        return (row[0], row[1]) if row else None

    async def add_thumbnail(
        self, q: Queries, blob: str, width: int, height: int, method: str, content_type: str, size: int
    ) -> bool:
        """A thumbnail whose bytes are stored; False where its file is gone."""
        return await q.fetchval(ADD_THUMBNAIL, blob, width, height, method, content_type, size) is not None

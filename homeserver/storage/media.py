"""Tables `media` and `media_thumbnails`: what is known of files. Their bytes are in storage/blobs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from homeserver.storage.database import Queries

# Quarantine goes by contents: the same bytes uploaded again are in it too.
BY_ID = """
SELECT media_id, user_id, created_ms, expires_ms, size, content_type, file_name, last_access_ms,
    NOT protected AND EXISTS (SELECT FROM quarantined_media q WHERE q.sha256 = media.sha256)
FROM media WHERE media_id = $1
"""

TOUCH = "UPDATE media SET last_access_ms = $2 WHERE media_id = $1"

ADD = """
INSERT INTO media (media_id, user_id, created_ms, size, sha256, content_type, file_name)
VALUES ($1, $2, $3, $4, $5, $6, $7)
"""

RESERVE = """
INSERT INTO media (media_id, user_id, created_ms, expires_ms)
SELECT $1, $2, $3, $4
WHERE (SELECT count(*) FROM media WHERE user_id = $2 AND size IS NULL AND expires_ms > $3) < $5
RETURNING media_id
"""

FILL = """
UPDATE media SET size = $2, sha256 = $3, content_type = $4, file_name = $5, expires_ms = NULL
WHERE media_id = $1 AND size IS NULL RETURNING media_id
"""

FORGET_EXPIRED = "DELETE FROM media WHERE expires_ms < $1"

THUMBNAIL = """
SELECT content_type, size FROM media_thumbnails WHERE media_id = $1 AND width = $2 AND height = $3 AND method = $4
"""

ADD_THUMBNAIL = """
INSERT INTO media_thumbnails (media_id, width, height, method, content_type, size)
SELECT media_id, $2, $3, $4, $5, $6 FROM media WHERE media_id = $1 FOR KEY SHARE
ON CONFLICT (media_id, width, height, method) DO UPDATE SET content_type = $5, size = $6
RETURNING media_id
"""


@dataclass(frozen=True, slots=True)
class StoredMedia:
    """One file, or a place for one where `size` is None."""

    media_id: str
    user_id: str
    created_ms: int
    expires_ms: int | None
    size: int | None
    content_type: str | None
    file_name: str | None
    last_access_ms: int | None
    """Roughly, and None for never."""
    quarantined: bool


@dataclass(frozen=True, slots=True)
class FileFacts:
    """What an upload turned out to be."""

    size: int
    sha256: bytes
    content_type: str
    file_name: str | None


class MediaRows:
    """Queries over files and their thumbnails."""

    async def get(self, q: Queries, media_id: str) -> StoredMedia | None:
        """The file, or the place for it."""
        row = await q.fetchrow(BY_ID, media_id)
        return StoredMedia(*row) if row else None

    async def touch(self, q: Queries, media_id: str, now_ms: int) -> None:
        """Somebody asked for it."""
        await q.execute(TOUCH, media_id, now_ms)

    async def add(self, q: Queries, media_id: str, user_id: str, now_ms: int, facts: FileFacts) -> None:
        """A file whose bytes are stored."""
        await q.execute(
            ADD, media_id, user_id, now_ms, facts.size, facts.sha256, facts.content_type, facts.file_name
        )  # fmt: skip

    async def reserve(self, q: Queries, media_id: str, user_id: str, now_ms: int, expires_ms: int, limit: int) -> bool:
        """A place to be filled later; False where the user has `limit` of them already."""
        return await q.fetchval(RESERVE, media_id, user_id, now_ms, expires_ms, limit) is not None

    async def fill(self, q: Queries, media_id: str, facts: FileFacts) -> bool:
        """The place has got its file; False where it had one already."""
        return (
            await q.fetchval(FILL, media_id, facts.size, facts.sha256, facts.content_type, facts.file_name) is not None
        )

    async def forget_expired(self, q: Queries, now_ms: int) -> None:
        """Places that nobody filled in time."""
        await q.execute(FORGET_EXPIRED, now_ms)

    async def thumbnail(
        self, q: Queries, media_id: str, width: int, height: int, method: str
    ) -> tuple[str, int] | None:
        """Content type and size of a thumbnail that exists."""
        row = await q.fetchrow(THUMBNAIL, media_id, width, height, method)
        return (row[0], row[1]) if row else None

    async def add_thumbnail(
        self, q: Queries, media_id: str, width: int, height: int, method: str, content_type: str, size: int
    ) -> bool:
        """A thumbnail whose bytes are stored; False where its file is gone."""
        return await q.fetchval(ADD_THUMBNAIL, media_id, width, height, method, content_type, size) is not None

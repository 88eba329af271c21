"""Tables `url_previews` and `url_preview_pictures`: what web pages said, and the pictures they showed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from homeserver.storage.database import Queries

# What was valid at that time, else what is valid now: "The server may return a newer version".
FIND = """
SELECT facts, fetched_ms FROM url_previews
WHERE url = $1 AND ((fetched_ms <= $2 AND expires_ms > $2) OR expires_ms > $3)
ORDER BY (facts IS NOT NULL AND fetched_ms <= $2 AND expires_ms > $2) DESC, fetched_ms DESC LIMIT 1
"""

ADD = """
INSERT INTO url_previews (url, fetched_ms, expires_ms, facts, picture) VALUES ($1, $2, $3, $4, $5)
ON CONFLICT (url, fetched_ms) DO UPDATE SET expires_ms = $3, facts = $4, picture = $5
"""

FORGET_EXPIRED = "DELETE FROM url_previews WHERE expires_ms < $1"

# Some at a time: what is deleted locks no more than this.
FORGET_OLDEST = """
DELETE FROM url_previews WHERE (url, fetched_ms) IN (
    SELECT url, fetched_ms FROM url_previews ORDER BY expires_ms DESC OFFSET $1
)
"""

ANNOUNCE_PICTURE = "INSERT INTO url_preview_pictures (media_id, expires_ms) VALUES ($1, $2)"

PICTURE_ARRIVED = "UPDATE url_preview_pictures SET size = $2, expires_ms = $3 WHERE media_id = $1 RETURNING media_id"

EXPIRED_PICTURES = "SELECT media_id FROM url_preview_pictures WHERE expires_ms < $1 ORDER BY expires_ms LIMIT $2"

# Everything beyond the `$1` bytes that came last.
SURPLUS_PICTURES = """
SELECT media_id FROM (
    SELECT media_id, sum(size) OVER (ORDER BY number DESC) AS until FROM url_preview_pictures
) AS ranked WHERE until > $1
"""

FORGET_PICTURES = """
WITH files AS (DELETE FROM media WHERE media_id = ANY($1::text[])),
previews AS (DELETE FROM url_previews WHERE picture = ANY($1::text[]))
DELETE FROM url_preview_pictures WHERE media_id = ANY($1::text[])
"""


@dataclass(frozen=True, slots=True)
class StoredPreview:
    """What was found at `fetched_ms`; `facts` is JSON, None where the page could not be had."""

    facts: str | None
    fetched_ms: int


class UrlPreviewRows:
    """Queries over previews and their pictures."""

    async def find(self, q: Queries, url: str, at_ms: int, now_ms: int) -> StoredPreview | None:
        """The preview that was valid at `at_ms`, or one that is valid now."""
        row = await q.fetchrow(FIND, url, at_ms, now_ms)
        return StoredPreview(*row) if row else None

    async def add(
        self, q: Queries, url: str, fetched_ms: int, expires_ms: int, facts: str | None, picture: str | None = None
    ) -> None:
        """What a page said just now; `picture` is the media id of its picture."""
        await q.execute(ADD, url, fetched_ms, expires_ms, facts, picture)

    async def forget_expired(self, q: Queries, before_ms: int) -> None:
        """Previews that ended before then."""
        await q.execute(FORGET_EXPIRED, before_ms)

    async def forget_oldest(self, q: Queries, keep: int) -> None:
        """All but the newest `keep` previews."""
        await q.execute(FORGET_OLDEST, keep)

    async def announce_picture(self, q: Queries, media_id: str, expires_ms: int) -> None:
        """A blob is about to be written; it is given up for lost at `expires_ms`."""
        await q.execute(ANNOUNCE_PICTURE, media_id, expires_ms)

    async def picture_arrived(self, q: Queries, media_id: str, size: int, expires_ms: int) -> bool:
        """The blob is written; False where it has been given up meanwhile."""
        return await q.fetchval(PICTURE_ARRIVED, media_id, size, expires_ms) is not None

    async def expired_pictures(self, q: Queries, before_ms: int, limit: int) -> list[str]:
        """Media ids of pictures to be removed."""
        return [row[0] for row in await q.fetch(EXPIRED_PICTURES, before_ms, limit)]

    async def surplus_pictures(self, q: Queries, keep_bytes: int) -> list[str]:
        """Media ids of the pictures to be removed so that at most `keep_bytes` are left."""
        return [row[0] for row in await q.fetch(SURPLUS_PICTURES, keep_bytes)]

    async def forget_pictures(self, q: Queries, media_ids: Sequence[str]) -> None:
        """The blobs are gone: so are the files, and the previews that show them."""
        await q.execute(FORGET_PICTURES, list(media_ids))

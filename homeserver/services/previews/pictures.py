"""A picture of a page becomes a file of ours: clients load it from here, and tell the page nothing of themselves."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import msgspec

from homeserver.services.media.thumbnails import THUMBNAILER, blob_names
from homeserver.storage.blobs.disk import DiskBlobs
from homeserver.storage.media import FileFacts, MediaRows
from homeserver.storage.url_previews import UrlPreviewRows

if TYPE_CHECKING:
    from homeserver.services.clock import Clock
    from homeserver.storage.database import Database

MEASURED_AT_ONCE: Final = 2
ARRIVING_MS: Final = 60 * 60_000
"""Longer than writing may take: what is still arriving then has been given up by a crash."""
REMOVED_AT_ONCE: Final = 200
NOBODY: Final = ""
"""Who uploaded it, in `media`: no user, so that it goes with no user."""


class _Measured(msgspec.Struct):
    content_type: str
    width: int
    height: int


@dataclass(frozen=True, slots=True)
class KeptPicture:
    """`properties` are those of the answer."""

    media_id: str
    properties: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class PreviewPictures:
    """Keeps pictures for `lifetime_ms`, and at most `max_bytes` of them."""

    database: Database
    rows: UrlPreviewRows
    media: MediaRows
    blobs: DiskBlobs
    clock: Clock
    server_name: str
    lifetime_ms: int
    max_bytes: int
    _measuring: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(MEASURED_AT_ONCE))

    async def keep(self, content: bytes) -> KeptPicture | None:
        """None for what is no picture that clients can show. Raises Unavailable where the disk is full."""
        async with self._measuring:
            output = await THUMBNAILER.run(content, "1", "1", "measure")
        if output is None:
            return None
        measured = msgspec.json.decode(output, type=_Measured)
        media_id = await self._store(content, measured.content_type)
        if media_id is None:
            return None
        properties = {
            "og:image": f"mxc://{self.server_name}/{media_id}",
            "og:image:type": measured.content_type,
            "og:image:width": measured.width,
            "og:image:height": measured.height,
            "matrix:image:size": len(content),
        }
        return KeptPicture(media_id, properties)

    async def _store(self, content: bytes, content_type: str) -> str | None:
        media_id, now_ms = secrets.token_urlsafe(24), self.clock.now_ms()
        await self.rows.announce_picture(self.database, media_id, now_ms + ARRIVING_MS)
        written = await self.blobs.write(media_id, _one(content))
        facts = FileFacts(written.size, written.sha256, content_type, None)
        async with self.database.transaction() as tx:
            if not await self.rows.picture_arrived(tx, media_id, written.size, now_ms + self.lifetime_ms):
                return None
            await self.media.add(tx, media_id, NOBODY, now_ms, facts)
        return media_id

    async def tidy(self) -> None:
        """Housekeeping: pictures whose time is over or whose arrival has failed, and those beyond `max_bytes`."""
        while expired := await self.rows.expired_pictures(self.database, self.clock.now_ms(), REMOVED_AT_ONCE):
            await self._remove(expired)
        surplus = await self.rows.surplus_pictures(self.database, self.max_bytes)
        for first in range(0, len(surplus), REMOVED_AT_ONCE):
            await self._remove(surplus[first : first + REMOVED_AT_ONCE])

    async def _remove(self, media_ids: list[str]) -> None:
        """The bytes first: a row without its blob is still there to be removed, a blob without row is not."""
        for media_id in media_ids:
            for name in (media_id, *blob_names(media_id)):
                await self.blobs.delete(name)
        await self.rows.forget_pictures(self.database, media_ids)


async def _one(piece: bytes) -> AsyncIterator[bytes]:
    yield piece

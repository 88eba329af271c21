"""Files of other servers on our disk, within a quota."""

from __future__ import annotations

import asyncio
import secrets
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from homeserver.protocol.errors import NotFound
from homeserver.services.media.content_types import clean_content_type, clean_file_name
from homeserver.services.media.downloads import FoundFile
from homeserver.services.media.thumbnails import blob_names
from homeserver.storage.media import FileFacts

if TYPE_CHECKING:
    from homeserver.federation.media.asking import ArrivingFile
    from homeserver.services.clock import Clock
    from homeserver.storage.blobs.disk import DiskBlobs
    from homeserver.storage.database import Database
    from homeserver.storage.remote_media import RemoteMediaRows, StoredRemoteMedia

TOUCH_AFTER_MS: Final = 10 * 60_000
"""A file that everybody looks at is not written down as asked for more often than this."""
PURGED_AT_ONCE: Final = 200
ARRIVING_MS: Final = 2 * 60 * 60_000
"""Longer than any file may take: what is still arriving then has been given up by a crash."""


@dataclass(frozen=True, slots=True)
class RemoteCache:
    """`max_bytes` for all files and thumbnails together; while files arrive, those are on the disk besides."""

    database: Database
    rows: RemoteMediaRows
    blobs: DiskBlobs
    clock: Clock
    max_bytes: int
    _making_room: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def get(self, server_name: str, media_id: str) -> FoundFile | None:
        """The file, if it is here. Raises NotFound for one that is in quarantine, here or not."""
        known = await self.rows.find(self.database, server_name, media_id)
        if known.quarantined:
            raise NotFound("There is no such file")
        stored = known.stored
        if stored is None:
            return None
        now_ms = self.clock.now_ms()
        if now_ms - stored.last_access_ms > TOUCH_AFTER_MS:
            await self.rows.touch(self.database, stored.blob, now_ms)
        return _found(stored)

    async def store(self, server_name: str, media_id: str, file: ArrivingFile) -> FoundFile:
        """Keep a file. Raises Unavailable where the disk is full, NotFound where what came is in quarantine, and what
        reading the file raises.
        """
        blob = _new_blob()
        await self.rows.announce(self.database, blob, server_name, media_id, self.clock.now_ms())
        kept = False
        try:
            written = await self.blobs.write(blob, file.pieces)
            content_type, file_name = clean_content_type(file.content_type), clean_file_name(file.file_name)
            facts = FileFacts(written.size, written.sha256, content_type, file_name)
            kept = await self.rows.arrived(self.database, blob, facts)
        finally:
            if not kept:
                await self._remove([blob])
        if kept:
            await self._make_room()
        # Its contents are known only now; and where another process was faster, that one's file is the one.
        found = await self.get(server_name, media_id)
        if found is None:
            raise NotFound("The file is gone")
        return found

    async def tidy(self) -> None:
        """Housekeeping: finish what a crash has interrupted, and count thumbnails that were made since."""
        await self._remove(await self.rows.left_over(self.database, self.clock.now_ms() - ARRIVING_MS))
        await self._make_room()

    async def purge(self, before_ms: int) -> int:
        """Remove what nobody has asked for since; returns how many files that were. In batches, each on its own."""
        count = 0
        while condemned := await self.rows.condemn_unused(self.database, before_ms, PURGED_AT_ONCE):
            await self._remove(condemned)
            count += len(condemned)
        return count

    async def _make_room(self) -> None:
        async with self._making_room:
            if await self.rows.total(self.database) > self.max_bytes:
                await self._remove(await self.rows.condemn(self.database, self.max_bytes))

    async def _remove(self, blobs: list[str]) -> None:
        """The bytes first: a row without its blob is still there to be removed by `tidy`, a blob without row is not."""
        for blob in blobs:
            for name in (blob, *blob_names(blob)):
                await self.blobs.delete(name)
        if blobs:
            await self.rows.forget(self.database, blobs)


def _found(stored: StoredRemoteMedia) -> FoundFile:
    return FoundFile(stored.blob, stored.size, stored.content_type, stored.file_name, is_remote=True)


def _new_blob() -> str:
    """Never one of our media ids, which are shorter: clients see it as an ETag, and can get nothing with it."""
    return f"r_{secrets.token_urlsafe(24)}"

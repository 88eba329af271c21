"""GET /download: a file of this server, or one of another."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from homeserver.protocol import errors
from homeserver.services.media.arrivals import Arrivals
from homeserver.services.media.content_types import UNKNOWN_TYPE
from homeserver.services.media.remote import OtherServersMedia
from homeserver.services.text_limits import is_storable
from homeserver.storage.blobs.disk import DiskBlobs
from homeserver.storage.media import MediaRows, StoredMedia

if TYPE_CHECKING:
    from homeserver.services.clock import Clock
    from homeserver.storage.database import Queries

MAX_MEDIA_ID_CHARACTERS = 255
DEFAULT_WAIT_MS = 20_000
MAX_WAIT_MS = 60_000
# A file that everybody looks at is not written down as asked for more often than this.
TOUCH_AFTER_MS = 60 * 60_000


@dataclass(frozen=True, slots=True)
class FoundFile:
    """A file about to be sent. `media_id`: the name of its blob, which for a file of another server is our own."""

    media_id: str
    size: int
    content_type: str
    file_name: str | None
    is_remote: bool = False


@dataclass(frozen=True, slots=True)
class Downloads:
    """Gives files out."""

    queries: Queries
    rows: MediaRows
    blobs: DiskBlobs
    arrivals: Arrivals
    clock: Clock
    server_name: str
    elsewhere: OtherServersMedia

    async def find_anywhere(self, server_name: str, media_id: str, timeout_ms: int = DEFAULT_WAIT_MS) -> FoundFile:
        """The file, fetched from its server where that is another one. Raises as `find` and `OtherServersMedia.find`."""
        if server_name == self.server_name:
            return await self.find(server_name, media_id, timeout_ms)
        return await self.elsewhere.find(server_name, media_id, min(timeout_ms, MAX_WAIT_MS))

    async def find(self, server_name: str, media_id: str, timeout_ms: int = DEFAULT_WAIT_MS) -> FoundFile:
        """A file of this server, waiting up to `timeout_ms` for one that is being uploaded.

        Raises NotFound, NotYetUploaded (504).
        """
        if server_name != self.server_name or not is_storable(media_id, MAX_MEDIA_ID_CHARACTERS):
            raise errors.NotFound("There is no such file")
        stored = await self._get(media_id)
        if stored.size is None and timeout_ms > 0:
            await self.arrivals.wait(media_id, min(timeout_ms, MAX_WAIT_MS))
            stored = await self._get(media_id)
        if stored.size is None:
            raise errors.NotYetUploaded("The file has not been uploaded yet")
        if stored.quarantined:
            raise errors.NotFound("There is no such file")
        await self._touch(stored)
        return FoundFile(media_id, stored.size, stored.content_type or UNKNOWN_TYPE, stored.file_name)

    async def _get(self, media_id: str) -> StoredMedia:
        stored = await self.rows.get(self.queries, media_id)
        if stored is None or (stored.expires_ms is not None and stored.expires_ms <= self.clock.now_ms()):
            raise errors.NotFound("There is no such file")
        return stored

    async def _touch(self, stored: StoredMedia) -> None:
        now_ms = self.clock.now_ms()
        if now_ms - (stored.last_access_ms or 0) > TOUCH_AFTER_MS:
            await self.rows.touch(self.queries, stored.media_id, now_ms)

    def read(self, file: FoundFile) -> AsyncIterator[bytes]:
        """The file's bytes."""
        return self.blobs.read(file.media_id)

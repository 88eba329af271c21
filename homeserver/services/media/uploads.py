"""POST /upload, and the two steps POST /create and PUT /upload. Client-server API, "Content repository"."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from homeserver.protocol import errors
from homeserver.services.media.arrivals import Arrivals
from homeserver.services.media.content_types import clean_content_type, clean_file_name
from homeserver.storage.blobs.disk import DiskBlobs
from homeserver.storage.media import FileFacts, MediaRows

if TYPE_CHECKING:
    from homeserver.services.clock import Clock
    from homeserver.services.requester import Requester
    from homeserver.storage.database import Queries

# "The server MAY limit how many pending uploads a user has"; a client that sends an album reserves a few dozen.
MAX_PENDING_PER_USER = 100
PENDING_LIFETIME_MS = 24 * 60 * 60 * 1000


@dataclass(frozen=True, slots=True)
class UploadWish:
    """What a client says of its file."""

    content_type: str | None
    file_name: str | None
    announced_bytes: int | None
    """Content-Length, where the client sent one."""


@dataclass(frozen=True, slots=True)
class Uploads:
    """Takes files in. `max_bytes` is the largest file allowed."""

    queries: Queries
    rows: MediaRows
    blobs: DiskBlobs
    arrivals: Arrivals
    clock: Clock
    max_bytes: int
    _filling: set[str] = field(default_factory=set)

    async def upload(self, requester: Requester, pieces: AsyncIterator[bytes], wish: UploadWish) -> str:
        """Store a file; returns its media id. Raises TooLarge, Unavailable."""
        self._check_announced(wish)
        media_id = _new_media_id()
        facts = await self._store(media_id, pieces, wish)
        await self.rows.add(self.queries, media_id, requester.user_id, self.clock.now_ms(), facts)
        return media_id

    async def reserve(self, requester: Requester) -> tuple[str, int]:
        """A media id to be filled later, and until when. Raises LimitExceeded where too many are waiting."""
        media_id = _new_media_id()
        now_ms = self.clock.now_ms()
        expires_ms = now_ms + PENDING_LIFETIME_MS
        made = await self.rows.reserve(
            self.queries, media_id, requester.user_id, now_ms, expires_ms, MAX_PENDING_PER_USER
        )
        if not made:
            raise errors.LimitExceeded("Too many uploads are pending: finish some first", retry_after_ms=60_000)
        return media_id, expires_ms

    async def fill(self, requester: Requester, media_id: str, pieces: AsyncIterator[bytes], wish: UploadWish) -> None:
        """Store the file for a reserved id. Raises NotFound, Forbidden, CannotOverwriteMedia, TooLarge."""
        self._check_announced(wish)
        place = await self.rows.get(self.queries, media_id)
        if place is None or (place.expires_ms is not None and place.expires_ms <= self.clock.now_ms()):
            raise errors.NotFound("This media id has not been created, or its time is over")
        if place.user_id != requester.user_id:
            raise errors.Forbidden("Somebody else created this media id")
        if place.size is not None:
            raise errors.CannotOverwriteMedia("This media id has its file already")
        if media_id in self._filling:
            raise errors.CannotOverwriteMedia("This media id is getting its file right now")
        self._filling.add(media_id)
        try:
            facts = await self._store(media_id, pieces, wish)
            if not await self.rows.fill(self.queries, media_id, facts):
                raise errors.CannotOverwriteMedia("This media id has its file already, or its time is over")
        finally:
            self._filling.discard(media_id)
        self.arrivals.arrived(media_id)

    async def tidy(self) -> None:
        """Housekeeping: forget places that nobody filled."""
        await self.rows.forget_expired(self.queries, self.clock.now_ms())

    def _check_announced(self, wish: UploadWish) -> None:
        if wish.announced_bytes is not None and wish.announced_bytes > self.max_bytes:
            raise self._too_large()

    def _too_large(self) -> errors.MatrixError:
        return errors.TooLarge(f"Files may have at most {self.max_bytes} bytes")

    async def _store(self, media_id: str, pieces: AsyncIterator[bytes], wish: UploadWish) -> FileFacts:
        written = await self.blobs.write(media_id, self._limited(pieces))
        return FileFacts(
            written.size, written.sha256, clean_content_type(wish.content_type), clean_file_name(wish.file_name)
        )  # fmt: skip

    async def _limited(self, pieces: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        size = 0
        async for piece in pieces:
            size += len(piece)
            if size > self.max_bytes:
                raise self._too_large()
            yield piece


def _new_media_id() -> str:
    """192 random bits: who has not been told an id cannot guess it."""
    return secrets.token_urlsafe(24)

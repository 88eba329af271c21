"""GET /thumbnail: small pictures of large ones, made when first asked for. Client-server API, "Thumbnails"."""

from __future__ import annotations

import asyncio
import json
from collections import OrderedDict
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

from homeserver.protocol import errors
from homeserver.services.media.downloads import Downloads, FoundFile
from homeserver.services.programs import Program
from homeserver.storage.blobs.disk import DiskBlobs
from homeserver.storage.media import MediaRows
from homeserver.storage.remote_media import RemoteMediaRows

if TYPE_CHECKING:
    from homeserver.storage.database import Queries

# The sizes a server "SHOULD" have: width, height, method. Requests are answered with the nearest that is not smaller.
SIZES: Final = (
    (32, 32, "crop"),
    (96, 96, "crop"),
    (320, 240, "scale"),
    (640, 480, "scale"),
    (800, 600, "scale"),
)
METHODS: Final = ("crop", "scale")
MAX_AT_ONCE: Final = 2
MAX_SECONDS: Final = 20.0
# Larger pictures than a camera makes are not worth the memory.
MAX_SOURCE_BYTES: Final = 50 * 1024 * 1024
MAX_THUMBNAIL_BYTES: Final = 8 * 1024 * 1024
THUMBNAILER: Final = Program(Path(__file__).with_name("thumbnailer.py"), MAX_SECONDS, MAX_THUMBNAIL_BYTES)
# Files that are no pictures, so that asking for their thumbnails again starts no process again.
MAX_REFUSALS_KEPT: Final = 10_000


@dataclass(frozen=True, slots=True)
class Size:
    """A box, and how the picture gets into it: `scale` fits it inside, `crop` fills it."""

    width: int
    height: int
    method: str

    def blob_name(self, media_id: str) -> str:
        """Media ids have no dash-separated size of their own: they are 32 characters long (those of others 34)."""
        return f"{media_id}-{self.width}x{self.height}-{self.method}"


def blob_names(media_id: str) -> list[str]:
    """Of all thumbnails that a file may have."""
    return [Size(*size).blob_name(media_id) for size in SIZES]


def nearest_size(width: int, height: int, method: str) -> Size:
    """The smallest size of this method that is not smaller than asked for, else the largest."""
    sizes = [Size(*size) for size in SIZES if size[2] == method]
    large_enough = [size for size in sizes if size.width >= width and size.height >= height]
    return large_enough[0] if large_enough else sizes[-1]


@dataclass(frozen=True, slots=True)
class Thumbnails:
    """Finds or makes thumbnails."""

    queries: Queries
    rows: MediaRows
    remote_rows: RemoteMediaRows
    blobs: DiskBlobs
    downloads: Downloads
    _at_once: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(MAX_AT_ONCE))
    _refused: OrderedDict[str, str] = field(default_factory=OrderedDict)

    async def find(self, file: FoundFile, size: Size) -> FoundFile:
        """The thumbnail as a file. Raises Unknown (400) for what is no picture, TooLarge for one beyond the limits."""
        known = await self._known(file, size)
        if known is None:
            async with self._at_once:
                # Whoever waited may find that somebody else had it made.
                known = await self._known(file, size) or await self._make(file, size)
        return FoundFile(size.blob_name(file.media_id), known[1], known[0], None, file.is_remote)

    def _rows_of(self, file: FoundFile) -> MediaRows | RemoteMediaRows:
        return self.remote_rows if file.is_remote else self.rows

    async def _known(self, file: FoundFile, size: Size) -> tuple[str, int] | None:
        refused = self._refused.get(file.media_id)
        if refused is not None:
            raise errors.Unknown(refused)
        return await self._rows_of(file).thumbnail(self.queries, file.media_id, size.width, size.height, size.method)

    def read(self, thumbnail: FoundFile) -> AsyncIterator[bytes]:
        """Its bytes."""
        return self.blobs.read(thumbnail.media_id)

    async def _make(self, file: FoundFile, size: Size) -> tuple[str, int]:
        if file.size > MAX_SOURCE_BYTES:
            raise errors.TooLarge("The picture is too large for a thumbnail")
        source = b"".join([piece async for piece in self.downloads.read(file)])
        try:
            content_type, thumbnail = await _run_thumbnailer(source, size)
        except errors.Unknown as error:
            self._refuse_from_now_on(file.media_id, error.message)
            raise
        blob = size.blob_name(file.media_id)
        written = await self.blobs.write(blob, _one(thumbnail))
        kept = await self._rows_of(file).add_thumbnail(
            self.queries, file.media_id, size.width, size.height, size.method, content_type, written.size
        )
        if not kept:
            await self.blobs.delete(blob)
            raise errors.NotFound("The file is gone")
        return content_type, written.size

    def _refuse_from_now_on(self, media_id: str, why: str) -> None:
        self._refused[media_id] = why
        if len(self._refused) > MAX_REFUSALS_KEPT:
            self._refused.popitem(last=False)


async def _one(piece: bytes) -> AsyncIterator[bytes]:
    yield piece


async def _run_thumbnailer(source: bytes, size: Size) -> tuple[str, bytes]:
    """Content type and bytes of the thumbnail, from a process that may be killed."""
    output = await THUMBNAILER.run(source, str(size.width), str(size.height), size.method)
    head, _, thumbnail = (output or b"").partition(b"\n")
    if not thumbnail:
        raise errors.Unknown("This file is no picture a thumbnail can be made of")
    return str(json.loads(head)["content_type"]), thumbnail

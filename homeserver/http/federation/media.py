"""Server-server API, "Content Repository": our files, for other servers."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterable, AsyncIterator
from dataclasses import dataclass

from homeserver.http.endpoint import Auth, endpoint
from homeserver.http.media.downloads import DOWNLOAD_TIME_LIMIT_MS, wait_of, wanted_size
from homeserver.http.media.file_response import content_disposition
from homeserver.http.request import Request
from homeserver.http.responses import Response, Stream
from homeserver.services.media.content_types import clean_file_name
from homeserver.services.media.downloads import Downloads, FoundFile
from homeserver.services.media.thumbnails import Thumbnails

ROOT = "/_matrix/federation/v1/media"


@dataclass(frozen=True, slots=True)
class FederationMediaEndpoints:
    """Only what was uploaded here: nobody gets files of third servers through us."""

    downloads: Downloads
    thumbnails: Thumbnails
    server_name: str

    @endpoint(
        "GET",
        f"{ROOT}/download/{{media_id}}",
        auth=Auth.SERVER,
        limit="federation",
        time_limit_ms=DOWNLOAD_TIME_LIMIT_MS,
    )
    async def download(self, request: Request[None]) -> Response:
        file = await self._find(request)
        return mixed_response(file, self.downloads.read(file))

    @endpoint("GET", f"{ROOT}/thumbnail/{{media_id}}", auth=Auth.SERVER, limit="federation")
    async def thumbnail(self, request: Request[None]) -> Response:
        size = wanted_size(request.query)
        thumbnail = await self.thumbnails.find(await self._find(request), size)
        return mixed_response(thumbnail, self.thumbnails.read(thumbnail))

    async def _find(self, request: Request[None]) -> FoundFile:
        return await self.downloads.find(self.server_name, request.path["media_id"], wait_of(request.query))


def mixed_response(file: FoundFile, pieces: AsyncIterable[bytes]) -> Response:
    """ "exactly two parts": an empty JSON object, and the file."""
    # Random: nothing that was uploaded earlier can have it inside.
    boundary = secrets.token_hex(24)
    disposition = content_disposition(file.content_type, clean_file_name(file.file_name))
    before = (
        f"\r\n--{boundary}\r\nContent-Type: application/json\r\n\r\n{{}}"
        f"\r\n--{boundary}\r\nContent-Type: {file.content_type}\r\nContent-Disposition: {disposition}\r\n\r\n"
    ).encode()
    after = f"\r\n--{boundary}--\r\n".encode()
    return Stream(
        _between(before, pieces, after),
        content_type=f"multipart/mixed; boundary={boundary}",
        length=len(before) + file.size + len(after),
    )


async def _between(before: bytes, pieces: AsyncIterable[bytes], after: bytes) -> AsyncIterator[bytes]:
    yield before
    async for piece in pieces:
        yield piece
    yield after

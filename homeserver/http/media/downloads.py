"""GET /download and GET /thumbnail, with a token (v1.11) and without (legacy)."""

from __future__ import annotations

from dataclasses import dataclass

from homeserver.http.endpoint import Auth, endpoint
from homeserver.http.media.file_response import file_response
from homeserver.http.query import Query
from homeserver.http.request import Request
from homeserver.http.responses import Response
from homeserver.protocol import errors
from homeserver.services.media.downloads import DEFAULT_WAIT_MS, MAX_WAIT_MS, Downloads, FoundFile
from homeserver.services.media.thumbnails import METHODS, Size, Thumbnails, nearest_size

NEW = "/_matrix/client/v1/media"
LEGACY = "/_matrix/media/v3"
# As long as a slow client takes for a large file.
DOWNLOAD_TIME_LIMIT_MS = 60 * 60 * 1000


@dataclass(frozen=True, slots=True)
class DownloadEndpoints:
    """Files out."""

    downloads: Downloads
    thumbnails: Thumbnails

    @endpoint(
        "GET",
        f"{NEW}/download/{{server_name}}/{{media_id}}",
        f"{NEW}/download/{{server_name}}/{{media_id}}/{{file_name}}",
        guests=True,
        limit="media_download",
        time_limit_ms=DOWNLOAD_TIME_LIMIT_MS,
    )
    async def download(self, request: Request[None]) -> Response:
        """The file."""
        file = await self._find(request)
        return self._given(file, request)

    @endpoint(
        "GET",
        f"{LEGACY}/download/{{server_name}}/{{media_id}}",
        f"{LEGACY}/download/{{server_name}}/{{media_id}}/{{file_name}}",
        auth=Auth.NONE,
        limit="media_download",
        time_limit_ms=DOWNLOAD_TIME_LIMIT_MS,
    )
    async def legacy_download(self, request: Request[None]) -> Response:
        """The file, for clients from before v1.11 and for links."""
        file = await self._find_here(request)
        return self._given(file, request)

    @endpoint(
        "GET",
        f"{NEW}/thumbnail/{{server_name}}/{{media_id}}",
        guests=True,
        limit="media_download",
        time_limit_ms=DOWNLOAD_TIME_LIMIT_MS,
    )
    async def thumbnail(self, request: Request[None]) -> Response:
        """A small picture."""
        return await self._thumbnail(await self._find(request), request)

    @endpoint("GET", f"{LEGACY}/thumbnail/{{server_name}}/{{media_id}}", auth=Auth.NONE, limit="media_download")
    async def legacy_thumbnail(self, request: Request[None]) -> Response:
        """A small picture, for clients from before v1.11."""
        return await self._thumbnail(await self._find_here(request), request)

    def _given(self, file: FoundFile, request: Request[None]) -> Response:
        return file_response(file, self.downloads.read(file), request.headers, request.path.get("file_name"))

    async def _thumbnail(self, file: FoundFile, request: Request[None]) -> Response:
        thumbnail = await self.thumbnails.find(file, wanted_size(request.query))
        return file_response(thumbnail, self.thumbnails.read(thumbnail), request.headers, "thumbnail")

    async def _find(self, request: Request[None]) -> FoundFile:
        path = request.path
        return await self.downloads.find_anywhere(path["server_name"], path["media_id"], wait_of(request.query))

    async def _find_here(self, request: Request[None]) -> FoundFile:
        """Without a token there are only files of this server: strangers cannot make it fetch, or learn what was fetched."""
        path = request.path
        return await self.downloads.find(path["server_name"], path["media_id"], wait_of(request.query))


def wait_of(query: Query) -> int:
    """How long to wait for a file that is being uploaded, in ms."""
    return query.integer("timeout_ms", DEFAULT_WAIT_MS, minimum=0, maximum=MAX_WAIT_MS)


def wanted_size(query: Query) -> Size:
    """The size of thumbnails that is nearest to what was asked for. Raises MissingParam."""
    width, height = query.integer("width", minimum=1), query.integer("height", minimum=1)
    if width is None or height is None:
        raise errors.MissingParam("A thumbnail needs 'width' and 'height'")
    return nearest_size(width, height, query.one_of("method", METHODS, "scale"))

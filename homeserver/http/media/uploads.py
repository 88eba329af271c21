"""POST /upload, POST /create, PUT /upload, GET /config."""

from __future__ import annotations

from dataclasses import dataclass

from homeserver.http.endpoint import endpoint
from homeserver.http.request import Request
from homeserver.http.responses import Response
from homeserver.protocol import errors
from homeserver.services.media.uploads import Uploads, UploadWish

# The service has the limit that was configured; this is only what no server takes.
NO_LIMIT_HERE = 1 << 40
UPLOAD_TIME_LIMIT_MS = 60 * 60 * 1000


@dataclass(frozen=True, slots=True)
class UploadEndpoints:
    """Files in."""

    uploads: Uploads
    server_name: str

    @endpoint(
        "POST",
        "/_matrix/media/v3/upload",
        suspended=False,
        limit="media_upload",
        max_body_bytes=NO_LIMIT_HERE,
        time_limit_ms=UPLOAD_TIME_LIMIT_MS,
    )
    async def upload(self, request: Request[None]) -> Response:
        """A file in one request."""
        media_id = await self.uploads.upload(request.requester, request.stream(), _wish(request))
        return {"content_uri": self._uri(media_id)}

    @endpoint("POST", "/_matrix/media/v1/create", suspended=False, limit="media_upload")
    async def create(self, request: Request[None]) -> Response:
        """A media id before its file."""
        media_id, expires_ms = await self.uploads.reserve(request.requester)
        return {"content_uri": self._uri(media_id), "unused_expires_at": expires_ms}

    @endpoint(
        "PUT",
        "/_matrix/media/v3/upload/{server_name}/{media_id}",
        suspended=False,
        limit="media_upload",
        max_body_bytes=NO_LIMIT_HERE,
        time_limit_ms=UPLOAD_TIME_LIMIT_MS,
    )
    async def fill(self, request: Request[None]) -> Response:
        """The file for a media id."""
        if request.path["server_name"] != self.server_name:
            raise errors.NotFound("This media id is not one of this server")
        await self.uploads.fill(request.requester, request.path["media_id"], request.stream(), _wish(request))
        return {}

    @endpoint("GET", "/_matrix/client/v1/media/config", "/_matrix/media/v3/config", guests=True)
    async def config(self, request: Request[None]) -> Response:
        """How large files may be."""
        return {"m.upload.size": self.uploads.max_bytes}

    def _uri(self, media_id: str) -> str:
        return f"mxc://{self.server_name}/{media_id}"


def _wish(request: Request[None]) -> UploadWish:
    length = request.headers.get("Content-Length", "")
    return UploadWish(
        content_type=request.headers.get("Content-Type"),
        file_name=request.query.string("filename"),
        announced_bytes=int(length) if length.isascii() and length.isdigit() else None,
    )

"""The page that opens a call in a browser, where the operator installed it (`./voicechat call-page install`)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from homeserver.http.endpoint import Auth, endpoint
from homeserver.http.request import Request
from homeserver.http.responses import Redirect, Response, Stream
from homeserver.protocol import errors

ROOT: Final = "/_voicechat/call"
PIECE_BYTES = 64 * 1024
CONTENT_TYPES: Final = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".mjs": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".wasm": "application/wasm",
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".ico": "image/x-icon",
    ".woff": "font/woff",
    ".woff2": "font/woff2",
    ".mp3": "audio/mpeg",
    ".ogg": "audio/ogg",
    ".tflite": "application/octet-stream",
}
# Scripts are the operator's own; the call's media server may be elsewhere (LiveKit), so connections may go out.
_POLICY: Final = (
    "default-src 'self'; script-src 'self' 'wasm-unsafe-eval' blob:{inline}; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' blob: data:; media-src 'self' blob: data: mediastream:; font-src 'self' data:; worker-src 'self' blob:; "
    "connect-src 'self' https: http: wss: ws: blob: data:; frame-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'self'"
)
_HEADERS: Final = {"X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer"}


@dataclass(frozen=True, slots=True)
class PageFile:
    """One file of the installed page."""

    path: Path
    size: int
    content_type: str


def installed_files(directory: Path) -> dict[str, PageFile]:
    """What may be served, by its path below the page. Nothing else ever is: requests never become file names."""
    return {
        file.relative_to(directory).as_posix(): PageFile(
            file, file.stat().st_size, CONTENT_TYPES.get(file.suffix, "application/octet-stream")
        )
        for file in sorted(directory.rglob("*"))
        if file.is_file() and not file.is_symlink()
    }


@dataclass(frozen=True, slots=True)
class CallPageEndpoints:
    """`files` as from `installed_files`; empty where the page was not installed."""

    files: Mapping[str, PageFile]

    @endpoint("GET", ROOT, auth=Auth.NONE, limit="none")
    async def without_slash(self, request: Request[None]) -> Response:
        return Redirect(f"{ROOT}/")

    @endpoint("GET", f"{ROOT}/", auth=Auth.NONE, limit="none")
    async def door(self, request: Request[None]) -> Response:
        return self._file("index.html")

    @endpoint("GET", f"{ROOT}/{{name}}", auth=Auth.NONE, limit="none")
    async def top(self, request: Request[None]) -> Response:
        return self._file(request.path["name"])

    @endpoint("GET", f"{ROOT}/{{folder}}/{{name}}", auth=Auth.NONE, limit="none")
    async def below(self, request: Request[None]) -> Response:
        return self._file(f"{request.path['folder']}/{request.path['name']}")

    @endpoint("GET", f"{ROOT}/{{folder}}/{{inner}}/{{name}}", auth=Auth.NONE, limit="none")
    async def assets(self, request: Request[None]) -> Response:
        path = request.path
        return self._file(f"{path['folder']}/{path['inner']}/{path['name']}")

    def _file(self, name: str) -> Response:
        file = self.files.get(name)
        if file is None:
            raise errors.NotFound("There is no such file; has the page been installed (voicechat call-page install)?")
        return Stream(_read(file.path), file.content_type, file.size, headers=_headers(name))


def _headers(name: str) -> Mapping[str, str]:
    # Element Call's own document has inline scripts, and its assets have their hash in their names.
    inline = " 'unsafe-inline'" if name == "element-call/index.html" else ""
    lasting = name.startswith("element-call/assets/")
    return {
        **_HEADERS,
        "Content-Security-Policy": _POLICY.format(inline=inline),
        "Cache-Control": "public, max-age=31536000, immutable" if lasting else "no-cache",
    }


async def _read(path: Path) -> AsyncIterator[bytes]:
    with await asyncio.to_thread(path.open, "rb") as file:
        while piece := await asyncio.to_thread(file.read, PIECE_BYTES):
            yield piece

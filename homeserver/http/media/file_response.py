"""A file as an answer: headers that let nobody run what others uploaded. Client-server API, "Content repository"."""

from __future__ import annotations

from collections.abc import AsyncIterable, Mapping
from urllib.parse import quote

from homeserver.http.responses import Json, Response, Stream
from homeserver.services.media.content_types import clean_file_name, may_be_inline
from homeserver.services.media.downloads import FoundFile

# The policy is the spec's own.
SECURITY_HEADERS: Mapping[str, str] = {
    "Content-Security-Policy": (
        "sandbox; default-src 'none'; script-src 'none'; plugin-types application/pdf; "
        "style-src 'unsafe-inline'; object-src 'self';"
    ),
    "Cross-Origin-Resource-Policy": "cross-origin",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}
# A media id always means the same bytes.
CACHE_CONTROL = "private, max-age=31536000, immutable"


def file_response(
    file: FoundFile, pieces: AsyncIterable[bytes], headers: Mapping[str, str], file_name: str | None = None
) -> Response:
    """The file, or 304 where the client has it. `file_name`: the name the client wants it to have."""
    etag = f'"{file.media_id}"'
    if headers.get("If-None-Match") == etag:
        return Json(304, {}, {"ETag": etag})
    return Stream(
        pieces,
        content_type=file.content_type,
        length=file.size,
        headers={
            **SECURITY_HEADERS,
            "Cache-Control": CACHE_CONTROL,
            "ETag": etag,
            "Content-Disposition": content_disposition(file.content_type, clean_file_name(file_name or file.file_name)),
        },
    )


def content_disposition(content_type: str, file_name: str | None) -> str:
    """RFC 6266. Letters and digits stand as they are; everything else is percent-encoded, so nothing can break out."""
    kind = "inline" if may_be_inline(content_type) else "attachment"
    if not file_name:
        return kind
    if file_name.isascii() and all(character.isalnum() or character in "._-" for character in file_name):
        return f"{kind}; filename={file_name}"
    if file_name.isascii() and '"' not in file_name and "\\" not in file_name and "%" not in file_name:
        return f'{kind}; filename="{file_name}"'
    return f"{kind}; filename*=utf-8''{quote(file_name, safe='')}"

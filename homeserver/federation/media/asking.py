"""A file of another server, as it comes in. Server-server API, "Content Repository"."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from homeserver.federation.client import DEFAULT_TIMEOUT_MS, Call, Limits, request_uri
from homeserver.federation.errors import BadAnswer, FileTooLarge, RemoteRefused
from homeserver.federation.media.mixed import Mixed
from homeserver.federation.media.part_headers import boundary_of, file_name_of
from homeserver.protocol.canonical_json import decode_lenient
from homeserver.protocol.errors import ConnectionFailed, MatrixError, NotFound, NotYetUploaded, error_from_response

if TYPE_CHECKING:
    from collections.abc import Mapping

    from homeserver.federation.client import FederationClient
    from homeserver.federation.connections import Connections, Streamed

DOWNLOAD: Final = "/_matrix/federation/v1/media/download"
LEGACY_DOWNLOAD: Final = "/_matrix/media/v3/download"
MAX_ERROR_BYTES: Final = 64 * 1024
ENVELOPE_BYTES: Final = 128 * 1024
"""What multipart may add to a file."""
MAX_URL_CHARACTERS: Final = 8_000


@dataclass(frozen=True, slots=True)
class ArrivingFile:
    """What its server claims of it, and its bytes; never more than allowed."""

    content_type: str | None
    file_name: str | None
    pieces: AsyncIterator[bytes]


@dataclass(frozen=True, slots=True)
class AskForMedia:
    """`max_bytes`: the largest file that is wanted."""

    client: FederationClient
    connections: Connections
    max_bytes: int

    @asynccontextmanager
    async def open(self, server_name: str, media_id: str, timeout_ms: int) -> AsyncIterator[ArrivingFile]:
        """The file until the block ends. `timeout_ms`: how long the other server may wait for the upload.

        Raises NotFound, NotYetUploaded, FileTooLarge, BadAnswer, RemoteRefused, ConnectionFailed, ConnectionTimeout;
        the reader of `pieces` too.
        """
        async with contextlib.AsyncExitStack() as open_answers:
            answer = await self._ask(server_name, media_id, timeout_ms, open_answers)
            if answer is None:
                answer = await self._ask_as_before(server_name, media_id, timeout_ms, open_answers)
                yield self._whole(answer)
                return
            parts = Mixed(answer.pieces(), boundary_of(answer.headers.get("Content-Type", "")))
            await parts.next_part()  # about the file: "Currently, this will always be an empty object."
            headers = await parts.next_part()
            if (location := headers.get("location")) is not None:
                yield self._whole(await self._elsewhere(location, open_answers))
            else:
                yield self._file(headers.get("content-type"), headers.get("content-disposition"), parts.body())

    async def _ask(
        self, server_name: str, media_id: str, timeout_ms: int, open_answers: contextlib.AsyncExitStack
    ) -> Streamed | None:
        """None where the other server does not know this endpoint."""
        uri = request_uri(DOWNLOAD, media_id, query={"timeout_ms": str(timeout_ms)})
        call = Call("GET", uri, limits=_patience(timeout_ms), accept="multipart/mixed")
        answer = await self._open(server_name, call, open_answers)
        if answer.status != 200:
            error = await _error(answer)
            # "servers MUST try the endpoints described below before falling back to the deprecated `/_matrix/media/*`
            # endpoints when they receive a `404 M_UNRECOGNIZED` error"
            if (error.status, error.errcode) == (404, "M_UNRECOGNIZED"):
                return None
            raise _as_ours(error)
        return answer

    async def _ask_as_before(
        self, server_name: str, media_id: str, timeout_ms: int, open_answers: contextlib.AsyncExitStack
    ) -> Streamed:
        query = {"allow_remote": "false", "timeout_ms": str(timeout_ms)}
        uri = request_uri(LEGACY_DOWNLOAD, server_name, media_id, query=query)
        call = Call("GET", uri, signed=False, limits=_patience(timeout_ms), accept="*/*")
        answer = await self._open(server_name, call, open_answers)
        if answer.status != 200:
            raise _as_ours(await _error(answer))
        return answer

    async def _open(self, server_name: str, call: Call, open_answers: contextlib.AsyncExitStack) -> Streamed:
        answer = await self.client.open(server_name, call)
        open_answers.callback(answer.close)
        self._check_announced(answer)
        return answer

    async def _elsewhere(self, location: str, open_answers: contextlib.AsyncExitStack) -> Streamed:
        """Unsigned, and never a second time: a file is where the first answer says, or nowhere."""
        _check_url(location)
        try:
            answer = await self.connections.open_page(location)
        except (OSError, ValueError, TimeoutError) as error:
            raise ConnectionFailed("The place where the other server keeps its files could not be reached") from error
        open_answers.callback(answer.close)
        if answer.status != 200:
            raise BadAnswer("The file is not where the other server says it is")
        self._check_announced(answer)
        return answer

    def _check_announced(self, answer: Streamed) -> None:
        if (answer.length or 0) > self.max_bytes + ENVELOPE_BYTES:
            raise FileTooLarge(f"Files may have at most {self.max_bytes} bytes")

    def _whole(self, answer: Streamed) -> ArrivingFile:
        headers: Mapping[str, str] = answer.headers
        return self._file(headers.get("Content-Type"), headers.get("Content-Disposition"), answer.pieces())

    def _file(self, content_type: str | None, disposition: str | None, pieces: AsyncIterator[bytes]) -> ArrivingFile:
        return ArrivingFile(content_type, file_name_of(disposition or ""), self._limited(pieces))

    async def _limited(self, pieces: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        size = 0
        async for piece in pieces:
            size += len(piece)
            if size > self.max_bytes:
                raise FileTooLarge(f"Files may have at most {self.max_bytes} bytes")
            yield piece


def _patience(timeout_ms: int) -> Limits:
    return Limits(timeout_ms=timeout_ms + DEFAULT_TIMEOUT_MS)


def _check_url(url: str) -> None:
    """https only, and nothing that would make us send a password. Where it leads is checked when it is connected to."""
    try:
        parts = urlsplit(url)
        bad = parts.scheme != "https" or not parts.hostname or parts.username is not None or parts.password is not None
    except ValueError as error:
        raise BadAnswer("The other server sends us to something that is no address") from error
    if bad or len(url) > MAX_URL_CHARACTERS:
        raise BadAnswer("The other server sends us to something that is no address")


async def _error(answer: Streamed) -> MatrixError:
    body = bytearray()
    async for piece in answer.pieces():
        body += piece
        if len(body) > MAX_ERROR_BYTES:
            return error_from_response(answer.status, {})
    try:
        return error_from_response(answer.status, decode_lenient(bytes(body)))
    except MatrixError:
        return error_from_response(answer.status, {})


def _as_ours(error: MatrixError) -> MatrixError:
    """What the same thing is for our client, who has asked for nothing wrong."""
    match error.errcode:
        case "M_NOT_FOUND":
            return NotFound("The other server has no such file")
        case "M_NOT_YET_UPLOADED":
            return NotYetUploaded("The file has not been uploaded yet")
        case "M_TOO_LARGE":
            return FileTooLarge("The file is too large for its server")
    return NotFound("The other server has no such file") if error.status == 404 else RemoteRefused(error)

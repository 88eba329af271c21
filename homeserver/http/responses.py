"""What a handler may return. A plain dict, list or msgspec struct is the usual answer: 200 with that as JSON.

Values may contain `orjson.Fragment` (bytes that are JSON already, such as stored events) and structs at any depth.
Errors are not returned: raise a `MatrixError`.
"""

from __future__ import annotations

from collections.abc import AsyncIterable, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

import msgspec
import orjson

if TYPE_CHECKING:
    from aiohttp import web

_NO_HEADERS: Mapping[str, str] = {}


@dataclass(frozen=True, slots=True)
class Json:
    """JSON with a status of its own, or with headers."""

    status: int
    body: Any
    headers: Mapping[str, str] = field(default_factory=lambda: _NO_HEADERS)


@dataclass(frozen=True, slots=True)
class Raw:
    """Bytes as they are: a page, a thumbnail, JSON that was encoded elsewhere."""

    body: bytes
    content_type: str = "application/json"
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=lambda: _NO_HEADERS)


@dataclass(frozen=True, slots=True)
class Stream:
    """Bytes that arrive in pieces. `length` in bytes where known: without it the answer is chunked.

    Pieces are awaited one at a time, as fast as the client reads. An error after the first one cuts the connection.
    """

    chunks: AsyncIterable[bytes]
    content_type: str
    length: int | None = None
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=lambda: _NO_HEADERS)


@dataclass(frozen=True, slots=True)
class Redirect:
    """Sends the client elsewhere (302 unless told otherwise)."""

    location: str
    status: int = 302
    headers: Mapping[str, str] = field(default_factory=lambda: _NO_HEADERS)


@dataclass(frozen=True, slots=True)
class Socket:
    """The WebSocket opens, for endpoints with `websocket=True`.

    `talk` runs until the conversation is over, without a time limit; it is cancelled when the client goes away and when
    the server stops. `abandon` is called instead when the client went before it could begin.
    """

    talk: Callable[[web.WebSocketResponse], Awaitable[None]]
    abandon: Callable[[], Awaitable[None]]
    max_message_bytes: int


Response: TypeAlias = dict[str, Any] | list[Any] | msgspec.Struct | Json | Raw | Stream | Redirect | Socket


def _encode_other(value: Any) -> Any:
    if isinstance(value, msgspec.Struct):
        return orjson.Fragment(msgspec.json.encode(value))
    if isinstance(value, (set, frozenset)):
        return list(value)
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"{type(value).__name__} cannot be made JSON")


def encode_json(value: Any) -> bytes:
    """UTF-8 JSON of `value`. Raises TypeError for what has no JSON form: our fault, never the client's."""
    return orjson.dumps(value, _encode_other)

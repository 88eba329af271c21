"""Request bodies: from bytes to the type an endpoint declared, or an error that says what is wrong with them."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable
from typing import TYPE_CHECKING, Any

import msgspec
import orjson

from homeserver.http.limits import check_depth, check_storable
from homeserver.protocol import errors

if TYPE_CHECKING:
    from aiohttp import web

    from homeserver.http.endpoint import Declaration

Decoder = Callable[[bytes], Any]

# As many as 2**53 has: msgspec reads longer integers too, but neither PostgreSQL nor canonical JSON takes them.
_MANY_DIGITS = re.compile(rb"\d{16}")


def make_decoder(declaration: Declaration) -> Decoder | None:
    """The function that decodes bodies for one endpoint; `None` where it leaves the body alone."""
    if declaration.body is None:
        return None
    if declaration.body is bytes:
        return lambda body: body
    decode = _decode_object if declaration.body is dict else _struct_decoder(declaration.body)
    empty = declaration.empty_body
    if empty is None:
        empty = declaration.body is not dict and _takes_empty_object(decode)
    return _with_checks(decode, empty)


def _takes_empty_object(decode: Decoder) -> bool:
    try:
        decode(b"{}")
    except errors.MatrixError:
        return False
    return True


def _with_checks(decode: Decoder, empty: bool) -> Decoder:
    def checked(body: bytes) -> Any:
        if not body:
            if empty:
                return decode(b"{}")
            raise errors.NotJson("The request needs a JSON body")
        if not body.isascii():
            _check_utf8(body)
        check_depth(body)
        return decode(body)

    return checked


def _check_utf8(body: bytes) -> None:
    try:
        body.decode()
    except UnicodeDecodeError as error:
        raise errors.NotJson(f"The body is not UTF-8 (byte {error.start})") from None


def _decode_object(body: bytes) -> dict[str, Any]:
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise errors.NotJson(f"The body is not JSON: {error.msg} (position {error.pos})") from None
    if not isinstance(value, dict):
        raise errors.BadJson("The body must be a JSON object")
    return value


def _struct_decoder(wanted: Any) -> Decoder:
    decoder = msgspec.json.Decoder(wanted)

    def decode(body: bytes) -> Any:
        try:
            value = decoder.decode(body)
        except msgspec.ValidationError as error:
            raise _explain(str(error)) from None
        except (msgspec.DecodeError, RecursionError) as error:
            raise errors.NotJson(f"The body is not JSON: {error}") from None
        # A false alarm (an escaped backslash before u0000, digits inside a string) costs one more look, nothing else.
        if b"\\u0000" in body or _MANY_DIGITS.search(body):
            check_storable(orjson.loads(body))
        return value

    return decode


def _explain(message: str) -> errors.MatrixError:
    """msgspec's "Expected `str`, got `int` - at `$.room_id`" in the words of the spec's error codes."""
    problem, _, place = message.partition(" - at ")
    field = place.strip("`").removeprefix("$").removeprefix(".")
    if problem.startswith("Object missing required field"):
        name = problem.rsplit("`", 2)[-2]
        return errors.MissingParam(f"Missing '{field}.{name}'" if field else f"Missing '{name}'")
    return errors.BadJson(f"{problem}, in '{field}'" if field else problem)


async def read_body(http: web.BaseRequest, limit: int) -> bytes:
    """The whole body. Raises TooLarge above `limit` bytes, without reading on."""
    if not http.body_exists:
        return b""
    check_announced_length(http, limit)
    content = http.content
    first = await content.readany()
    if content.at_eof() and len(first) <= limit:
        return first
    return await _read_rest(http, bytearray(first), limit)


async def _read_rest(http: web.BaseRequest, body: bytearray, limit: int) -> bytes:
    while len(body) <= limit:
        chunk = await http.content.readany()
        if not chunk:
            return bytes(body)
        body += chunk
    raise too_large(limit)


async def stream_body(http: web.BaseRequest, limit: int) -> AsyncIterator[bytes]:
    """The body piece by piece. Raises TooLarge once `limit` bytes are passed."""
    check_announced_length(http, limit)
    received = 0
    async for chunk in http.content.iter_any():
        received += len(chunk)
        if received > limit:
            raise too_large(limit)
        yield chunk


def check_announced_length(http: web.BaseRequest, limit: int) -> None:
    """Refuse by Content-Length before a byte is read. Raises TooLarge."""
    if (http.content_length or 0) > limit:
        raise too_large(limit)


def too_large(limit: int) -> errors.MatrixError:
    """The error for a body above `limit` bytes."""
    return errors.TooLarge(f"The body is larger than {limit} bytes")

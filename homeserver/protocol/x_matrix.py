"""The `Authorization: X-Matrix …` header with which servers sign their requests, and the bytes that are signed.

Source: server-server API, "Request Authentication"; RFC 9110, section 11.4 (the header) and 5.6 (tokens, quoted strings).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from homeserver.protocol.canonical_json import encode_canonical
from homeserver.protocol.errors import InvalidParam, Unauthorized
from homeserver.protocol.hashing import decode_base64, encode_base64
from homeserver.protocol.identifiers import is_server_name
from homeserver.protocol.signing import ALGORITHM, SIGNATURE_BYTES, SigningKey

SCHEME: Final = "X-Matrix"
MAX_HEADER_CHARACTERS: Final = 2048
"""Two server names of 255 characters, a key id and a signature fit several times over."""
MAX_KEY_ID_CHARACTERS: Final = 255
_KNOWN: Final = frozenset({"origin", "destination", "key", "sig"})

_NAME = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
# Of unquoted values the RFC takes tokens only; "the recipient should allow colons". Base64 without quotes is not
# ambiguous either.
_VALUE = r'"(?P<quoted>(?:[^"\\]|\\.)*)"|(?P<plain>[^"\\, \t]*)'
# RFC 9110, section 5.6.1.2: a recipient takes a list with empty elements.
_PARAMETER = re.compile(rf"[ \t,]*(?P<name>{_NAME})[ \t]*=[ \t]*(?:{_VALUE})[ \t]*(?:,|\Z)")
_NOTHING = re.compile(r"[ \t,]*\Z")
_ESCAPED = re.compile(r"\\(.)")


@dataclass(frozen=True, slots=True)
class XMatrix:
    """What one header claims. `destination` is missing from servers older than v1.3."""

    origin: str
    destination: str | None
    key_id: str
    signature: bytes


def is_x_matrix(header: str) -> bool:
    """Whether the value of an Authorization header is of this scheme, well formed or not."""
    return header.partition(" ")[0].lower() == SCHEME.lower()


def parse_x_matrix(header: str) -> XMatrix:
    """The claims of one Authorization header. Raises Unauthorized for what is not well formed, InvalidParam for an origin
    that is no server name.
    """
    if not is_x_matrix(header) or len(header) > MAX_HEADER_CHARACTERS:
        raise Unauthorized("This is not an X-Matrix Authorization header")
    values = _parameters(header[len(SCHEME) :])
    try:
        origin, key_id, signature = values["origin"], values["key"], decode_base64(values["sig"])
    except KeyError as missing:
        raise Unauthorized(f"The X-Matrix header lacks {missing}") from None
    except ValueError:
        raise Unauthorized("The signature in the X-Matrix header is not base64") from None
    if not is_server_name(origin):
        # Not a question of who it is: there can be no such server.
        raise InvalidParam("The origin in the X-Matrix header is not a server name")
    if not key_id.startswith(f"{ALGORITHM}:") or len(key_id) > MAX_KEY_ID_CHARACTERS:
        raise Unauthorized("The key in the X-Matrix header is not an ed25519 key")
    if len(signature) != SIGNATURE_BYTES:
        raise Unauthorized(f"The signature in the X-Matrix header does not have {SIGNATURE_BYTES} bytes")
    return XMatrix(origin, values.get("destination"), key_id, signature)


def _parameters(text: str) -> Mapping[str, str]:
    """Those that we know, by lower-case name. "Unknown parameters are ignored"."""
    values: dict[str, str] = {}
    position = 0
    while not _NOTHING.match(text, position):
        match = _PARAMETER.match(text, position)
        if match is None:
            raise Unauthorized("The X-Matrix header is not a list of name=value")
        name = match["name"].lower()
        if name in values:
            # Which of them counts would be guessing, and somebody in between may guess otherwise.
            raise Unauthorized(f"The X-Matrix header has '{name}' twice")
        if name in _KNOWN:
            quoted = match["quoted"]
            values[name] = match["plain"] if quoted is None else _ESCAPED.sub(r"\1", quoted)
        position = match.end()
    return values


def format_x_matrix(claims: XMatrix) -> str:
    """The header in the form that servers of any age read: lower-case names, one space, everything quoted."""
    return (
        f'{SCHEME} origin="{claims.origin}",destination="{claims.destination}",'
        f'key="{claims.key_id}",sig="{encode_base64(claims.signature)}"'
    )


def signed_bytes(
    method: str, uri: str, origin: str, destination: str, content: Mapping[str, Any] | list[Any] | None
) -> bytes:
    """What the signature is over. `uri` is path and query as sent; `content` the parsed body, None where there is none.

    Raises BadJson for content that has no canonical form. Not strict: events of old rooms may have odd numbers.
    """
    request: dict[str, Any] = {"method": method, "uri": uri, "origin": origin, "destination": destination}
    if content is not None:
        request["content"] = content
    return encode_canonical(request, strict=False)


def sign_request(
    key: SigningKey, method: str, uri: str, origin: str, destination: str, content: Mapping[str, Any] | None
) -> str:
    """The value of the Authorization header for a request of ours. Raises BadJson."""
    signature = key.sign(signed_bytes(method, uri, origin, destination, content))
    return format_x_matrix(XMatrix(origin, destination, key.key_id, signature))

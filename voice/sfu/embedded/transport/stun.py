"""Connectivity checks as an ICE-lite agent meets them: RFC 8489 messages, RFC 8445 attributes.

We answer binding requests and never ask. What is not a well-formed, fingerprinted binding request with a user name
and an integrity value is None to us, before anything is computed about it.
"""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import struct
import zlib
from dataclasses import dataclass

_HEADER = struct.Struct("!HHI12s")
_ATTRIBUTE = struct.Struct("!HH")
_MAGIC_COOKIE = 0x2112A442

_BINDING_REQUEST = 0x0001
_BINDING_SUCCESS = 0x0101
_BINDING_ERROR = 0x0111

_USERNAME = 0x0006
_MESSAGE_INTEGRITY = 0x0008
_ERROR_CODE = 0x0009
_UNKNOWN_ATTRIBUTES = 0x000A
_MESSAGE_INTEGRITY_SHA256 = 0x001C
_XOR_MAPPED_ADDRESS = 0x0020
_PRIORITY = 0x0024
_USE_CANDIDATE = 0x0025
_FINGERPRINT = 0x8028
_ICE_CONTROLLED = 0x8029

_UNDERSTOOD = frozenset(
    (_USERNAME, _MESSAGE_INTEGRITY, _MESSAGE_INTEGRITY_SHA256, _XOR_MAPPED_ADDRESS, _PRIORITY, _USE_CANDIDATE)
)
_COMPREHENSION_REQUIRED = 0x8000
"""Types below must be understood (RFC 8489 section 14)."""

_FINGERPRINT_XOR = 0x5354554E
_FINGERPRINT_SIZE = 8
_INTEGRITY_SIZE = 24
_DIGEST_SIZE = 20
_MAX_MESSAGE = 1280
_MAX_ATTRIBUTES = 32
_MAX_USERNAME = 513
"""RFC 8489 section 14.3: fewer than 509 bytes; ICE allows two names of 256 and a colon."""


@dataclass(frozen=True, slots=True)
class BindingRequest:
    """A connectivity check whose integrity is not checked yet."""

    transaction: bytes
    ufrag: str
    """The first part of the user name: whom it is for."""
    nominates: bool
    """USE-CANDIDATE: media shall go to where this came from."""
    claims_controlled: bool
    """The peer believes to be controlled, which a lite agent always is (RFC 8445 section 6.1.1)."""
    unknown: tuple[int, ...]
    """Attributes that must be understood, and are not."""
    covered: bytes
    """What the integrity value is made over, with the length as it was then."""
    integrity: bytes

    def is_authentic(self, password: str) -> bool:
        """Whether it was made by somebody who knows the password; takes the same time for each wrong value."""
        expected = hmac.digest(password.encode(), self.covered, hashlib.sha1)
        return hmac.compare_digest(expected, self.integrity)


def read_binding_request(message: bytes) -> BindingRequest | None:
    """The request; None for anything else, be it garbage or another kind of message."""
    if not _HEADER.size + _INTEGRITY_SIZE + _FINGERPRINT_SIZE <= len(message) <= _MAX_MESSAGE:
        return None
    kind, length, cookie, transaction = _HEADER.unpack_from(message)
    if kind != _BINDING_REQUEST or cookie != _MAGIC_COOKIE or length != len(message) - _HEADER.size or length % 4:
        return None
    if not _has_fingerprint(message):
        return None
    attributes = _attributes(message[:-_FINGERPRINT_SIZE])
    return None if attributes is None else _request(message, transaction, attributes)


def _has_fingerprint(message: bytes) -> bool:
    """It must come with every check, as the last attribute (RFC 8445 section 7.1, RFC 8489 section 14.7)."""
    kind, size, value = struct.unpack("!HHI", message[-_FINGERPRINT_SIZE:])
    return (kind, size) == (_FINGERPRINT, 4) and value == _crc(message[:-_FINGERPRINT_SIZE])


def _crc(covered: bytes) -> int:
    return zlib.crc32(covered) ^ _FINGERPRINT_XOR


def _attributes(message: bytes) -> list[tuple[int, int, bytes]] | None:
    """Type, offset and value of each; None where they do not fill the message exactly, or are too many."""
    found: list[tuple[int, int, bytes]] = []
    offset = _HEADER.size
    while offset < len(message):
        if offset + _ATTRIBUTE.size > len(message) or len(found) == _MAX_ATTRIBUTES:
            return None
        kind, size = _ATTRIBUTE.unpack_from(message, offset)
        value = message[offset + _ATTRIBUTE.size : offset + _ATTRIBUTE.size + size]
        found.append((kind, offset, value))
        offset += _ATTRIBUTE.size + size + (-size % 4)
    return found if offset == len(message) else None


def _request(message: bytes, transaction: bytes, attributes: list[tuple[int, int, bytes]]) -> BindingRequest | None:
    integrity = next((item for item in attributes if item[0] == _MESSAGE_INTEGRITY), None)
    if integrity is None or len(integrity[2]) != _DIGEST_SIZE:
        return None
    # What follows the integrity value is not protected by it and ignored (RFC 8489 section 14.5).
    trusted = {kind: value for kind, offset, value in attributes if offset < integrity[1]}
    ufrag = _our_ufrag(trusted.get(_USERNAME, b""))
    if ufrag is None:
        return None
    unknown = tuple(kind for kind in trusted if kind < _COMPREHENSION_REQUIRED and kind not in _UNDERSTOOD)
    return BindingRequest(
        transaction,
        ufrag,
        nominates=_USE_CANDIDATE in trusted,
        claims_controlled=_ICE_CONTROLLED in trusted,
        unknown=unknown,
        covered=_with_length(message[: integrity[1]], integrity[1] + _INTEGRITY_SIZE - _HEADER.size),
        integrity=integrity[2],
    )


def _our_ufrag(username: bytes) -> str | None:
    """RFC 8445 section 7.2.2: the name of the asked, a colon, the name of the asking."""
    if len(username) > _MAX_USERNAME or not username.isascii():
        return None
    ours, colon, _ = username.partition(b":")
    return ours.decode() if ours and colon else None


def _with_length(message: bytes, length: int) -> bytes:
    return message[:2] + length.to_bytes(2, "big") + message[4:]


# --- answers ---------------------------------------------------------------------------------------------------


def success(request: BindingRequest, password: str, address: str, port: int) -> bytes:
    """The check went through; `address` is where it came from, as we see it."""
    body = _attribute(_XOR_MAPPED_ADDRESS, _xor_mapped(request.transaction, address, port))
    return _sealed(_BINDING_SUCCESS, request.transaction, body, password)


def role_conflict(request: BindingRequest, password: str) -> bytes:
    """487: the peer has to be the controlling one, as we cannot (RFC 8445 section 7.3.1.1)."""
    return _sealed(_BINDING_ERROR, request.transaction, _error(487, b"Role Conflict"), password)


def unknown_attributes(request: BindingRequest, password: str) -> bytes:
    """420 (RFC 8489 section 6.3.1)."""
    kinds = b"".join(kind.to_bytes(2, "big") for kind in request.unknown)
    body = _error(420, b"Unknown Attribute") + _attribute(_UNKNOWN_ATTRIBUTES, kinds)
    return _sealed(_BINDING_ERROR, request.transaction, body, password)


def _error(code: int, reason: bytes) -> bytes:
    return _attribute(_ERROR_CODE, struct.pack("!HBB", 0, code // 100, code % 100) + reason)


def _xor_mapped(transaction: bytes, address: str, port: int) -> bytes:
    """RFC 8489 section 14.2."""
    ip = ipaddress.ip_address(address.partition("%")[0])
    mask = _MAGIC_COOKIE.to_bytes(4, "big") + transaction
    family = 1 if ip.version == 4 else 2
    masked = bytes(a ^ b for a, b in zip(ip.packed, mask, strict=False))
    return struct.pack("!BBH", 0, family, port ^ (_MAGIC_COOKIE >> 16)) + masked


def _attribute(kind: int, value: bytes) -> bytes:
    return _ATTRIBUTE.pack(kind, len(value)) + value + b"\0" * (-len(value) % 4)


def _sealed(kind: int, transaction: bytes, body: bytes, password: str) -> bytes:
    """With MESSAGE-INTEGRITY and FINGERPRINT, in this order."""
    covered = _HEADER.pack(kind, len(body) + _INTEGRITY_SIZE, _MAGIC_COOKIE, transaction) + body
    digest = hmac.digest(password.encode(), covered, hashlib.sha1)
    message = covered + _attribute(_MESSAGE_INTEGRITY, digest)
    message = _with_length(message, len(message) - _HEADER.size + _FINGERPRINT_SIZE)
    return message + _attribute(_FINGERPRINT, _crc(message).to_bytes(4, "big"))

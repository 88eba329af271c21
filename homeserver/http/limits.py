"""Limits on requests: how deep JSON may nest, how many one may make, and from which address they really come."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Final, Protocol

from homeserver.protocol import errors

if TYPE_CHECKING:
    from multidict import MultiMapping

    from homeserver.services.requester import Requester

# The spec names no depth. Real events stay under ten; a hundred is far below what makes a parser overflow.
MAX_JSON_DEPTH: Final = 100
# One path with a room id, an event id and a state key, all percent-encoded, stays below 2.5 KiB.
MAX_PATH_LENGTH: Final = 8192
# What integers in Matrix may be: appendices, "Canonical JSON".
MAX_INTEGER: Final = 2**53 - 1


class RateLimiter(Protocol):
    """Counts requests. Implemented by services/rate_limits.py."""

    def check(self, limit: str, requester: Requester | None, address: str) -> None:
        """Count one request of class `limit` for this user, or for this address where nobody is logged in.

        Raises LimitExceeded with `retry_after_ms`.
        """
        ...


def check_depth(body: bytes, limit: int = MAX_JSON_DEPTH) -> None:
    """Refuse JSON that nests deeper than `limit`, before anything recursive sees it. Raises BadJson.

    Counting brackets is a few microseconds even for large bodies, and nearly always already the answer.
    """
    if body.count(b"[") + body.count(b"{") <= limit:
        return
    if _depth(body) > limit:
        raise errors.BadJson(f"JSON is nested deeper than {limit} levels")


def _depth(body: bytes) -> int:
    """The deepest nesting, brackets inside strings left out."""
    depth = deepest = 0
    for part in _outside_strings(body):
        for byte in part:
            if byte in b"[{":
                depth += 1
                deepest = max(deepest, depth)
            elif byte in b"]}":
                depth -= 1
    return deepest


def _outside_strings(body: bytes) -> Iterable[bytes]:
    # Escaped backslashes first: what then still reads \" is a quotation mark inside a string.
    parts = body.replace(b"\\\\", b"").replace(b'\\"', b"").split(b'"')
    return parts[::2]


def check_storable(value: Any) -> None:
    """Refuse decoded JSON with what PostgreSQL cannot hold: NUL characters, and integers beyond those of Matrix.

    Raises BadJson.
    """
    if isinstance(value, str):
        if "\0" in value:
            raise errors.BadJson("The body contains a NUL character")
    elif isinstance(value, dict):
        for key, item in value.items():
            check_storable(key)
            check_storable(item)
    elif isinstance(value, list):
        for item in value:
            check_storable(item)
    elif isinstance(value, (int, float)) and not -MAX_INTEGER <= value <= MAX_INTEGER:
        raise errors.BadJson("The body contains a number beyond 2^53")


class ClientAddresses:
    """Finds out where a request comes from. Only proxies that we trust may tell us (`X-Forwarded-For`)."""

    __slots__ = ("_trusted",)

    def __init__(self, trusted_proxies: Iterable[str] = ("127.0.0.0/8", "::1/128")) -> None:
        self._trusted = [ipaddress.ip_network(network, strict=False) for network in trusted_proxies]

    def resolve(self, peer: str, headers: MultiMapping[str]) -> str:
        """The client's address. `peer` is the other end of the connection, empty for a unix socket (trusted)."""
        if "X-Forwarded-For" not in headers or not self._is_trusted(peer):
            return peer
        # The rightmost entry was added by our own proxy, what is left of it by whoever talked to that. Some proxies put
        # a header of their own behind the one they were sent.
        forwarded = ",".join(headers.getall("X-Forwarded-For"))
        for hop in reversed(forwarded.split(",")):
            address = hop.strip()
            if not _is_address(address):
                return peer
            peer = address
            if not self._is_trusted(address):
                return address
        return peer

    def _is_trusted(self, peer: str) -> bool:
        if not peer:
            return True
        try:
            address = ipaddress.ip_address(peer)
        except ValueError:
            return False
        return any(address in network for network in self._trusted)


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True

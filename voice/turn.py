"""TURN servers as clients are told of them: their URIs, and credentials that coturn's `use-auth-secret` takes.

No state is kept, and there is nothing to revoke.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

_URI: Final = re.compile(
    r"(turns?):(\[[0-9A-Fa-f:.]+\]|[^\s:/?#\[\]@]+)(?::(\d{1,5}))?(?:\?transport=(udp|tcp))?", re.ASCII
)
_DEFAULT_PORT: Final = {"turn": 3478, "turns": 5349}


@dataclass(frozen=True, slots=True)
class TurnUri:
    """RFC 7065 section 3.1. Over `tls` with `udp` it is DTLS, which few clients speak."""

    host: str
    port: int
    transport: Literal["udp", "tcp"]
    tls: bool


def read_turn_uri(uri: str) -> TurnUri | None:
    """None for what is no TURN URI: a browser that is given one makes no connection at all."""
    match = _URI.fullmatch(uri)
    if match is None:
        return None
    scheme, host, port, transport = match.groups()
    number = int(port) if port else _DEFAULT_PORT[scheme]
    if not 0 < number < 65536:
        return None
    tls = scheme == "turns"
    chosen: Literal["udp", "tcp"] = "tcp" if transport == "tcp" or (tls and transport is None) else "udp"
    return TurnUri(host.strip("[]"), number, chosen, tls)


@dataclass(frozen=True, slots=True)
class TurnCredentials:
    """`ttl_s` in seconds."""

    username: str
    password: str = field(repr=False)
    uris: Sequence[str]
    ttl_s: int


@dataclass(frozen=True, slots=True)
class TurnAccess:
    """draft-uberti-behave-turn-rest-00, section 2.2: the username is "timestamp:name", the password its HMAC."""

    uris: tuple[str, ...]
    shared_secret: str = field(repr=False)
    lifetime_s: int

    def credentials(self, name: str, now_s: float) -> TurnCredentials:
        """Good for `lifetime_s` from now (seconds since the epoch)."""
        username = f"{int(now_s) + self.lifetime_s}:{name}"
        # SHA-1 is what TURN servers compute; as an HMAC it is not broken.
        digest = hmac.new(self.shared_secret.encode(), username.encode(), hashlib.sha1).digest()
        return TurnCredentials(username, base64.b64encode(digest).decode(), self.uris, self.lifetime_s)

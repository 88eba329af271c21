"""Scopes: what a client asks for (client-server API, "Scope")."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from homeserver.protocol.oauth.errors import INVALID_SCOPE, OAuthError

# The second of each is from before the specification had it (MSC2967); clients still ask for those.
API: Final = frozenset({"urn:matrix:client:api:*", "urn:matrix:org.matrix.msc2967.client:api:*"})
DEVICE: Final = ("urn:matrix:client:device:", "urn:matrix:org.matrix.msc2967.client:device:")
MAX_SCOPE_CHARACTERS: Final = 2048
MAX_DEVICE_ID_CHARACTERS: Final = 255
_TOKEN = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]+")  # RFC 6749, 3.3


@dataclass(frozen=True, slots=True)
class Scope:
    """What is granted: everything, on one device."""

    text: str
    """In the words in which it was asked for; what is not known has been left out (RFC 6749, 3.3)."""
    device_id: str


def parse_scope(text: str) -> Scope:
    """Raises OAuthError where it does not ask for the API, or not for exactly one device."""
    if len(text) > MAX_SCOPE_CHARACTERS:
        raise OAuthError(INVALID_SCOPE, "The scope is too long")
    asked = list(dict.fromkeys(text.split(" ")))
    granted = [token for token in asked if token in API or token.startswith(DEVICE)]
    device_ids = {token.partition("device:")[2] for token in granted if token.startswith(DEVICE)}
    if not API & set(granted):
        raise OAuthError(INVALID_SCOPE, "The scope has to include urn:matrix:client:api:*")
    if len(device_ids) != 1:
        raise OAuthError(INVALID_SCOPE, "The scope has to include exactly one urn:matrix:client:device:<device id>")
    device_id = device_ids.pop()
    if _TOKEN.fullmatch(device_id) is None or len(device_id) > MAX_DEVICE_ID_CHARACTERS:
        raise OAuthError(INVALID_SCOPE, "This device id cannot be used")
    return Scope(" ".join(granted), device_id)

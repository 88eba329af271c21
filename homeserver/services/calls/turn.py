"""Credentials for a TURN server, as coturn's `use-auth-secret` checks them: no state, and nothing to revoke."""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from homeserver.services.clock import Clock


@dataclass(frozen=True, slots=True)
class TurnCredentials:
    """`ttl_s` in seconds."""

    username: str
    password: str
    uris: Sequence[str]
    ttl_s: int


@dataclass(frozen=True, slots=True)
class TurnServer:
    """draft-uberti-behave-turn-rest-00, section 2.2: the username is "timestamp:user", the password its HMAC."""

    uris: Sequence[str]
    shared_secret: str
    lifetime_ms: int
    clock: Clock

    def credentials(self, user_id: str) -> TurnCredentials:
        """Good for `lifetime_ms` from now."""
        lifetime_s = self.lifetime_ms // 1000
        username = f"{self.clock.now_ms() // 1000 + lifetime_s}:{user_id}"
        # SHA-1 is what TURN servers compute; as an HMAC it is not broken.
        digest = hmac.new(self.shared_secret.encode(), username.encode(), hashlib.sha1).digest()
        return TurnCredentials(username, base64.b64encode(digest).decode(), self.uris, lifetime_s)

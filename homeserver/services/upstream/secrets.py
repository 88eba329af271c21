"""What ties an answer of a provider to the browser and to the request: state, nonce, PKCE.

Only the state is stored, as a hash. Nonce and verifier are made of the browser's cookie and the state again when the
answer comes: who has the database, or an address out of a history, has neither.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from dataclasses import dataclass
from typing import Final

MAX_STATE_CHARACTERS: Final = 128
_NONCE: Final = b"nonce:"
_VERIFIER: Final = b"verifier:"


@dataclass(frozen=True, slots=True)
class FlowSecrets:
    """`browser_secret`: the value of a cookie that only this browser has."""

    state: str
    browser_secret: str

    @classmethod
    def new(cls, browser_secret: str) -> FlowSecrets:
        """For a sign-in that begins now."""
        return cls(secrets.token_urlsafe(32), browser_secret)

    @property
    def nonce(self) -> str:
        return self._derived(_NONCE)

    @property
    def verifier(self) -> str:
        """43 characters, the least that RFC 7636 section 4.1 allows, of 256 bits."""
        return self._derived(_VERIFIER)

    @property
    def challenge(self) -> str:
        """S256, RFC 7636 section 4.2."""
        return encoded(hashlib.sha256(self.verifier.encode()).digest())

    @property
    def state_hash(self) -> bytes:
        return hash_of(self.state)

    def _derived(self, purpose: bytes) -> str:
        key = self.browser_secret.encode("utf-8", "surrogatepass")
        return encoded(hmac.digest(key, purpose + self.state.encode("utf-8", "surrogatepass"), "sha256"))


def hash_of(secret: str) -> bytes:
    """SHA-256: these are random, so neither salt nor slow hash would add anything."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).digest()


def encoded(raw: bytes) -> str:
    """base64url without padding."""
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")

"""Proof Key for Code Exchange (RFC 7636), with S256 and nothing else."""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from typing import Final

METHOD: Final = "S256"
# SHA-256 in base64url, and 43 to 128 unreserved characters (RFC 7636, 4.1 and 4.2).
_CHALLENGE = re.compile(r"[A-Za-z0-9_-]{43}")
_VERIFIER = re.compile(r"[A-Za-z0-9._~-]{43,128}")


def is_challenge(text: str) -> bool:
    """Whether this can be a challenge."""
    return _CHALLENGE.fullmatch(text) is not None


def fits(challenge: str, verifier: str) -> bool:
    """Whether the verifier is the one that the challenge was made of."""
    if _VERIFIER.fullmatch(verifier) is None:
        return False
    digest = hashlib.sha256(verifier.encode()).digest()
    return hmac.compare_digest(base64.urlsafe_b64encode(digest).rstrip(b"="), challenge.encode())

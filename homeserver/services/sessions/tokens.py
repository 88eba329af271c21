"""How tokens are made, and the only form in which they are kept."""

from __future__ import annotations

import hashlib
import secrets

# Longer than any token we make: what is longer is not worth hashing.
MAX_TOKEN_CHARACTERS = 256

BORROWED_PREFIX = "vcbt_"

_DEVICE_ID_ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_DEVICE_ID_CHARACTERS = 10


def new_access_token() -> str:
    """256 random bits, with a prefix that lets scanners find leaked tokens."""
    return "vcat_" + secrets.token_urlsafe(32)


def new_refresh_token() -> str:
    """256 random bits, with a prefix that tells it from an access token."""
    return "vcrt_" + secrets.token_urlsafe(32)


def new_borrowed_token() -> str:
    """256 random bits, with a prefix by which it is looked for where it can be."""
    return BORROWED_PREFIX + secrets.token_urlsafe(32)


def new_device_id() -> str:
    """Ten random capitals: short enough to be compared by people."""
    return "".join(secrets.choice(_DEVICE_ID_ALPHABET) for _ in range(_DEVICE_ID_CHARACTERS))


def hash_token(token: str) -> bytes:
    """SHA-256. Tokens are random, so neither salt nor slow hash would add anything."""
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()

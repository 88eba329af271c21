"""A user's three cross-signing keys, and who signs what. Client-server API, "Cross-signing".

The master key signs the self-signing and the user-signing key. The self-signing key signs the user's devices, the
user-signing key other users' master keys. A device may sign its user's master key.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from homeserver.protocol.encryption.key_objects import (
    check_signatures,
    check_strings,
    ed25519_bytes,
    signatures_of,
    stored_form,
    unsigned_form,
)
from homeserver.protocol.errors import BadJson, InvalidParam, InvalidSignature
from homeserver.protocol.signing import verify_json

Usage: TypeAlias = Literal["master", "self_signing", "user_signing"]

MAX_USAGES = 10


@dataclass(frozen=True, slots=True)
class SigningIdentity:
    """Whose signature is expected, made with which key."""

    user_id: str
    name: str
    """With the algorithm: `ed25519:…`."""
    public_key: str
    """In base64."""


def parse_cross_signing_key(key: dict[str, Any], user_id: str, usage: Usage) -> str:
    """The public key of a `CrossSigningKey` in base64, after checking its form. Raises BadJson, InvalidParam."""
    field = f"{usage}_key"
    if key.get("user_id") != user_id:
        raise InvalidParam(f"'{field}.user_id' is not yours")
    usages = key.get("usage")
    if not isinstance(usages, list) or len(usages) > MAX_USAGES or usage not in usages:
        raise InvalidParam(f"'{field}.usage' must be an array with '{usage}'")
    if "signatures" in key:
        check_signatures(key["signatures"])
    stored_form(key)
    return _only_key(check_strings(key.get("keys"), f"{field}.keys"))


def _only_key(keys: dict[str, str]) -> str:
    """ "The object must have exactly one property, `<algorithm>:<public_key>`, and its value is the public key." """
    if len(keys) != 1:
        raise InvalidParam("A cross-signing key object has exactly one key")
    name, public_key = next(iter(keys.items()))
    if name != f"ed25519:{public_key}":
        raise InvalidParam("A cross-signing key must be named 'ed25519:' and the key itself")
    ed25519_bytes(public_key)
    return public_key


def cross_signer(user_id: str, public_key: str) -> SigningIdentity:
    """The identity of a cross-signing key: it is named after itself."""
    return SigningIdentity(user_id, f"ed25519:{public_key}", public_key)


def check_signed(key: dict[str, Any], signer: SigningIdentity) -> str:
    """The signer's signature on the object. Raises InvalidSignature where it is missing or wrong."""
    try:
        verify_key = ed25519_bytes(signer.public_key)
    except InvalidParam:
        raise InvalidSignature(f"The key {signer.name} of {signer.user_id} is not an ed25519 key") from None
    verify_json(key, signer.user_id, signer.name, verify_key)
    return signatures_of(key, signer.user_id)[signer.name]


def check_same_key(given: dict[str, Any], stored: dict[str, Any]) -> None:
    """ "The signed JSON object must match the key previously uploaded", but for signatures. Raises InvalidParam."""
    try:
        same = unsigned_form(given) == unsigned_form(stored)
    except BadJson:
        same = False
    if not same:
        raise InvalidParam("The signed object is not the key that is stored here")

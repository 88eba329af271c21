"""Is an uploaded signature right? Each function returns the signatures to add, or raises what is wrong with them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from homeserver.protocol import errors
from homeserver.protocol.encryption.cross_signing_keys import (
    SigningIdentity,
    check_same_key,
    check_signed,
    cross_signer,
)
from homeserver.protocol.encryption.device_keys import ed25519_key_of
from homeserver.protocol.encryption.key_objects import signatures_of, with_signatures
from homeserver.storage.cross_signing import CrossSigningKey

NO_SIGNATURE = "There is no signature of yours that belongs here"


def device_signature(given: dict[str, Any], stored: bytes, self_signing: CrossSigningKey | None) -> dict[str, str]:
    """A self-signing key's signature of one of its user's devices."""
    if self_signing is None:
        raise errors.NotFound("You have no self-signing key")
    check_same_key(given, orjson.loads(stored))
    signer = cross_signer(self_signing.user_id, self_signing.public_key)
    return {signer.name: check_signed(given, signer)}


def master_key_signatures(
    given: dict[str, Any], master: CrossSigningKey, devices: Mapping[str, bytes]
) -> dict[str, str]:
    """Devices' signatures of their user's master key. One must be there; those that are new must be right."""
    stored = orjson.loads(master.key)
    check_same_key(given, stored)
    known = signatures_of(stored, master.user_id)
    found = {}
    for name, signature in signatures_of(given, master.user_id).items():
        signer = _device_signer(name, master.user_id, devices)
        if known.get(name) == signature:
            found[name] = signature
        elif signer is not None:
            found[name] = check_signed(given, signer)
    if not found:
        raise errors.InvalidSignature(NO_SIGNATURE)
    return found


def _device_signer(name: str, user_id: str, devices: Mapping[str, bytes]) -> SigningIdentity | None:
    device_id = name.removeprefix("ed25519:")
    if device_id not in devices:
        return None
    public_key = ed25519_key_of(orjson.loads(devices[device_id]), device_id)
    return SigningIdentity(user_id, name, public_key) if public_key is not None else None


def foreign_signature(
    given: dict[str, Any], master: CrossSigningKey, user_signing: CrossSigningKey | None
) -> dict[str, str]:
    """A user-signing key's signature of another user's master key."""
    if user_signing is None:
        raise errors.NotFound("You have no user-signing key")
    check_same_key(given, orjson.loads(master.key))
    signer = cross_signer(user_signing.user_id, user_signing.public_key)
    return {signer.name: check_signed(given, signer)}


def merged(stored: bytes, user_id: str, added: dict[str, str]) -> bytes:
    """A stored key with signatures added, in the form in which keys are stored."""
    return orjson.dumps(with_signatures(orjson.loads(stored), user_id, added), option=orjson.OPT_SORT_KEYS)

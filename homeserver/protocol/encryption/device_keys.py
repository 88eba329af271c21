"""Identity keys of devices. Client-server API, "Device keys" and "Uploading keys"."""

from __future__ import annotations

from typing import Any

from homeserver.protocol.encryption.key_objects import (
    check_signatures,
    check_strings,
    split_key_name,
    stored_form,
    unsigned_form,
    with_signatures,
)
from homeserver.protocol.errors import BadJson, InvalidParam

MAX_ALGORITHMS = 50
MAX_KEYS = 50


def check_device_keys(keys: dict[str, Any], user_id: str, device_id: str) -> dict[str, Any]:
    """Return the object; raises BadJson where a required field is missing or has the wrong type, InvalidParam where
    the keys are somebody else's.

    The device's own signature is not verified: the spec names no error for it, other devices check it anyway and have
    to, because it protects them from this server, and the public test suites upload keys with signatures that are none.
    """
    check_device_keys_form(keys, user_id, device_id)
    for name in keys["keys"]:
        split_key_name(name)
    return keys


def check_device_keys_form(keys: dict[str, Any], user_id: str, device_id: str) -> dict[str, Any]:
    """The same for keys of other servers' devices: what their names mean is for clients to say."""
    _check_owner(keys, user_id, device_id)
    algorithms = keys.get("algorithms")
    if not isinstance(algorithms, list) or not all(isinstance(algorithm, str) for algorithm in algorithms):
        raise BadJson("'device_keys.algorithms' must be an array of strings")
    public_keys = check_strings(keys.get("keys"), "device_keys.keys")
    if len(algorithms) > MAX_ALGORITHMS or len(public_keys) > MAX_KEYS:
        raise InvalidParam("A device publishes a handful of algorithms and keys, not that many")
    check_signatures(keys.get("signatures"))
    stored_form(keys)
    return keys


def _check_owner(keys: dict[str, Any], user_id: str, device_id: str) -> None:
    """ "Must match the user ID used when logging in", and the device ID likewise."""
    for name, own in (("user_id", user_id), ("device_id", device_id)):
        given = keys.get(name)
        if not isinstance(given, str):
            raise BadJson(f"'device_keys.{name}' must be a string")
        if given != own:
            raise InvalidParam(f"'device_keys.{name}' is not the one of this session")


def merge_device_keys(stored: dict[str, Any] | None, uploaded: dict[str, Any]) -> dict[str, Any]:
    """What to keep after an upload: the same keys keep the signatures they had, other keys start without."""
    if stored is None or unsigned_form(stored) != unsigned_form(uploaded):
        return uploaded
    merged = stored
    for user_id, signatures in uploaded["signatures"].items():
        merged = with_signatures(merged, user_id, signatures)
    return merged


def ed25519_key_of(keys: dict[str, Any], device_id: str) -> str | None:
    """The device's own public signing key, in base64."""
    key = keys.get("keys", {}).get(f"ed25519:{device_id}")
    return key if isinstance(key, str) else None

"""What all published keys have in common: names `<algorithm>:<key id>`, signatures, and sameness apart from those.

Source: client-server API, "Key algorithms", and appendices, "Signing JSON".
"""

from __future__ import annotations

from typing import Any

from homeserver.protocol.canonical_json import encode_canonical
from homeserver.protocol.errors import BadJson, InvalidParam
from homeserver.protocol.hashing import decode_base64
from homeserver.protocol.identifiers import utf8_length

ED25519_KEY_BYTES = 32
MAX_KEY_NAME_BYTES = 255
# A device's keys with the signatures of its user stay below 2 KiB; post-quantum keys would still fit.
MAX_KEY_OBJECT_BYTES = 64 * 1024

Signatures = dict[str, dict[str, str]]


def split_key_name(name: str) -> tuple[str, str]:
    """Algorithm and key id of `<algorithm>:<key id>`; raises InvalidParam."""
    algorithm, colon, key_id = name.partition(":")
    if not (algorithm and colon and key_id):
        raise InvalidParam(f"{name[:64]!r} is not the name of a key, '<algorithm>:<key id>'")
    if utf8_length(name) > MAX_KEY_NAME_BYTES:
        raise InvalidParam(f"The name of a key has at most {MAX_KEY_NAME_BYTES} bytes")
    return algorithm, key_id


def check_strings(value: Any, name: str) -> dict[str, str]:
    """The value, if it is an object of strings; raises BadJson."""
    if not isinstance(value, dict) or not all(isinstance(item, str) for item in value.values()):
        raise BadJson(f"'{name}' must be an object of strings")
    return value


def check_signatures(value: Any) -> Signatures:
    """The value, if it has the form of `signatures`: user -> key name -> signature; raises BadJson."""
    if not isinstance(value, dict):
        raise BadJson("'signatures' must be an object")
    for user_id, of_user in value.items():
        check_strings(of_user, f"signatures.{user_id[:64]}")
    return value


def signatures_of(key: dict[str, Any], user_id: str) -> dict[str, str]:
    """What a user signed the object with, by key name; empty where the form is wrong."""
    signatures = key.get("signatures")
    of_user = signatures.get(user_id) if isinstance(signatures, dict) else None
    if not isinstance(of_user, dict):
        return {}
    return {name: signature for name, signature in of_user.items() if isinstance(signature, str)}


def with_signatures(key: dict[str, Any], user_id: str, added: dict[str, str]) -> dict[str, Any]:
    """A copy of the object with signatures of one user added to those it has."""
    if not added:
        return key
    signatures = key.get("signatures", {})
    return {**key, "signatures": {**signatures, user_id: {**signatures.get(user_id, {}), **added}}}


def unsigned_form(key: dict[str, Any]) -> bytes:
    """Canonical JSON of what is signed: two objects with the same form are the same key. Raises BadJson."""
    return encode_canonical({name: item for name, item in key.items() if name not in ("signatures", "unsigned")})


def stored_form(key: dict[str, Any]) -> bytes:
    """Canonical JSON as it is kept, without `unsigned`. Raises BadJson for what cannot be signed, or is too large."""
    encoded = encode_canonical({name: item for name, item in key.items() if name != "unsigned"})
    if len(encoded) > MAX_KEY_OBJECT_BYTES:
        raise BadJson(f"A key has at most {MAX_KEY_OBJECT_BYTES} bytes")
    return encoded


def ed25519_bytes(public_key: str) -> bytes:
    """The 32 bytes of a public key; raises InvalidParam."""
    try:
        decoded = decode_base64(public_key)
    except ValueError:
        raise InvalidParam("An ed25519 key must be base64") from None
    if len(decoded) != ED25519_KEY_BYTES:
        raise InvalidParam(f"An ed25519 key has {ED25519_KEY_BYTES} bytes, not {len(decoded)}")
    return decoded

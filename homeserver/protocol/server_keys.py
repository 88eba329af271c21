"""The keys that a server publishes: the document of `GET /_matrix/key/v2/server`, written and read.

Source: server-server API, "Publishing Keys".
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from homeserver.protocol.canonical_json import MAX_INTEGER
from homeserver.protocol.errors import BadJson, InvalidSignature
from homeserver.protocol.hashing import decode_base64, encode_base64
from homeserver.protocol.signing import ALGORITHM, SigningKey, sign_json, signature_key_ids, verify_json

DAY_MS: Final = 24 * 60 * 60_000
MAX_TRUST_MS: Final = 7 * DAY_MS
""" "Servers MUST use the lesser of this field and 7 days into the future when determining if a key is valid." """
MAX_KEYS: Final = 200
"""In one document, old ones included. The spec names no number; servers have one to a handful."""
VERIFY_KEY_BYTES: Final = 32
_KEY_ID = re.compile(rf"{ALGORITHM}:[a-zA-Z0-9_]{{1,240}}", re.ASCII)


@dataclass(frozen=True, slots=True)
class ServerKey:
    """One key of one server. What was signed at `usable_until_ms` or before may be believed."""

    key_id: str
    verify_key: bytes
    usable_until_ms: int

    def is_usable_at(self, time_ms: int) -> bool:
        """Whether it may have signed something at that time."""
        return time_ms <= self.usable_until_ms


@dataclass(frozen=True, slots=True)
class PublishedKeys:
    """A document whose signature fits. `keys` by key id, the old ones included; other algorithms are left out."""

    server_name: str
    valid_until_ms: int
    keys: Mapping[str, ServerKey]


@dataclass(frozen=True, slots=True)
class KeyCriteria:
    """What a notary is asked for of a server: keys, () for whatever it has, and until when to be valid; None: now."""

    key_ids: Collection[str] = ()
    until_ms: int | None = None


def publish_keys(
    server_name: str, key: SigningKey, valid_until_ms: int, old_keys: Iterable[ServerKey] = ()
) -> dict[str, Any]:
    """The document of a server with one key, signed. `old_keys`: those that it signed with earlier."""
    document = {
        "server_name": server_name,
        "verify_keys": {key.key_id: {"key": encode_base64(key.verify_key)}},
        "old_verify_keys": {
            old.key_id: {"key": encode_base64(old.verify_key), "expired_ts": old.usable_until_ms} for old in old_keys
        },
        "valid_until_ts": valid_until_ms,
    }
    return sign_json(document, server_name, key)


def read_published_keys(document: object, server_name: str, now_ms: int) -> PublishedKeys:
    """Check and read a document. Raises BadJson; InvalidSignature where none of its own current keys signed it."""
    if not isinstance(document, dict) or document.get("server_name") != server_name:
        raise BadJson(f"This is not the key document of {server_name}")
    valid_until_ms = _time(document.get("valid_until_ts"), "valid_until_ts")
    current = {key_id: _verify_key(value) for key_id, value in _entries(document, "verify_keys").items()}
    _check_signed(document, server_name, current)
    # A key that the server says it no longer uses cannot sign anything from now on, whatever time it gives.
    keys = {
        key_id: ServerKey(key_id, _verify_key(value), min(_time(value.get("expired_ts"), "expired_ts"), now_ms))
        for key_id, value in _entries(document, "old_verify_keys").items()
    }
    usable_until_ms = min(valid_until_ms, now_ms + MAX_TRUST_MS)
    keys.update({key_id: ServerKey(key_id, key, usable_until_ms) for key_id, key in current.items()})
    return PublishedKeys(server_name, valid_until_ms, keys)


def _check_signed(document: dict[str, Any], server_name: str, keys: Mapping[str, bytes]) -> None:
    for key_id in signature_key_ids(document, server_name):
        if key_id in keys:
            try:
                verify_json(document, server_name, key_id, keys[key_id])
            except InvalidSignature:
                continue
            return
    raise InvalidSignature(f"The key document of {server_name} is not signed with one of its keys")


def _entries(document: Mapping[str, Any], name: str) -> Mapping[str, dict[str, Any]]:
    entries = document.get(name, {})
    if not isinstance(entries, dict) or len(entries) > MAX_KEYS:
        raise BadJson(f"'{name}' of a key document is not an object of at most {MAX_KEYS} keys")
    known = {key_id: value for key_id, value in entries.items() if _KEY_ID.fullmatch(key_id)}
    if not all(isinstance(value, dict) for value in known.values()):
        raise BadJson(f"'{name}' of a key document has something that is not an object")
    return known


def _verify_key(value: Mapping[str, Any]) -> bytes:
    try:
        key = decode_base64(value["key"])
    except (KeyError, ValueError, AttributeError):
        raise BadJson("A key of a key document is not base64") from None
    if len(key) != VERIFY_KEY_BYTES:
        raise BadJson(f"A key of a key document does not have {VERIFY_KEY_BYTES} bytes")
    return key


def _time(value: object, name: str) -> int:
    if type(value) is not int or not 0 <= value <= MAX_INTEGER:
        raise BadJson(f"'{name}' of a key document is not a time")
    return value

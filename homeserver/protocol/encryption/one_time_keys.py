"""One-time and fallback keys. Client-server API, "One-time and fallback keys"."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import orjson

from homeserver.protocol.canonical_json import encode_canonical
from homeserver.protocol.encryption.key_objects import check_signatures, split_key_name, unsigned_form
from homeserver.protocol.errors import BadJson, InvalidParam

# A KeyObject with one signature has some 250 bytes.
MAX_ONE_TIME_KEY_BYTES = 8 * 1024


@dataclass(frozen=True, slots=True)
class PublicKey:
    """A one-time or fallback key as uploaded. `key`: canonical JSON, a string or an object."""

    algorithm: str
    key_id: str
    key: bytes


def parse_one_time_keys(keys: dict[str, Any]) -> list[PublicKey]:
    """Keys by name, in the order of the object. Raises BadJson, InvalidParam for what is no key."""
    return [_parse(name, key) for name, key in keys.items()]


def parse_fallback_keys(keys: dict[str, Any]) -> list[PublicKey]:
    """As above. "There can only be at most one key per algorithm uploaded": raises InvalidParam for two."""
    parsed = parse_one_time_keys(keys)
    if len({key.algorithm for key in parsed}) < len(parsed):
        raise InvalidParam("There can be only one fallback key for each algorithm")
    return parsed


def _parse(name: str, key: Any) -> PublicKey:
    algorithm, key_id = split_key_name(name)
    if isinstance(key, dict):
        if not isinstance(key.get("key"), str):
            raise BadJson(f"The key {name!r} must have 'key', a string")
        check_signatures(key.get("signatures"))
    elif not isinstance(key, str):
        raise BadJson(f"The key {name!r} must be a string or an object")
    encoded = encode_canonical(key)
    if len(encoded) > MAX_ONE_TIME_KEY_BYTES:
        raise InvalidParam(f"A one-time key has at most {MAX_ONE_TIME_KEY_BYTES} bytes")
    return PublicKey(algorithm, key_id, encoded)


def is_same_key(one: bytes, other: bytes) -> bool:
    """Whether two uploaded keys are one key: a device that repeats an upload may have signed it anew."""
    first, second = orjson.loads(one), orjson.loads(other)
    if isinstance(first, dict) and isinstance(second, dict):
        return unsigned_form(first) == unsigned_form(second)
    return bool(first == second)

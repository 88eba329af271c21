"""Keys as other servers tell them: what is usable of it. Everything in them may be anything."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from homeserver.protocol.canonical_json import encode_canonical
from homeserver.protocol.encryption.cross_signing_keys import Usage, parse_cross_signing_key
from homeserver.protocol.encryption.device_keys import check_device_keys_form
from homeserver.protocol.errors import MatrixError
from homeserver.services.text_limits import MAX_DEVICE_ID_CHARACTERS, is_storable
from homeserver.storage.cross_signing import CrossSigningKey
from homeserver.storage.remote_devices import RemoteDevice, RemoteDeviceList

MAX_DEVICES: Final = 1000
"""Of one user; bots have had some hundred."""
MAX_NAME_CHARACTERS: Final = 255
MAX_STREAM_ID: Final = 2**63 - 1


def read_device(user_id: str, device_id: object, keys: object, name: object) -> RemoteDevice | None:
    """One device; None where it is not one of this user, or has no keys."""
    if not isinstance(device_id, str) or not is_storable(device_id, MAX_DEVICE_ID_CHARACTERS):
        return None
    if not isinstance(keys, dict):
        return None
    unsigned = keys.get("unsigned")
    if name is None and isinstance(unsigned, dict):
        name = unsigned.get("device_display_name")
    plain = {key: value for key, value in keys.items() if key != "unsigned"}
    # What is left out is empty: such a device can read nothing, but it is there, and clients show it.
    whole = {"user_id": user_id, "device_id": device_id, "algorithms": [], "keys": {}, "signatures": {}, **plain}
    try:
        stored = encode_canonical(check_device_keys_form(whole, user_id, device_id))
    except MatrixError:
        return None
    known = name if isinstance(name, str) and is_storable(name, MAX_NAME_CHARACTERS) else None
    return RemoteDevice(device_id, known, stored)


def read_devices_by_id(user_id: str, devices: object) -> list[RemoteDevice]:
    """Of `user/keys/query`: keys by device id."""
    if not isinstance(devices, dict):
        return []
    read = [read_device(user_id, device_id, keys, None) for device_id, keys in list(devices.items())[:MAX_DEVICES]]
    return [each for each in read if each is not None]


def read_device_list(user_id: str, devices: object) -> list[RemoteDevice]:
    """Of `user/devices`: a list."""
    found: dict[str, RemoteDevice] = {}
    for each in devices[:MAX_DEVICES] if isinstance(devices, list) else ():
        if isinstance(each, dict):
            name = each.get("device_display_name")
            device = read_device(user_id, each.get("device_id"), each.get("keys"), name)
            if device is not None:
                found[device.device_id] = device
    return list(found.values())


def read_stream_id(value: object) -> int | None:
    """The number of a user's newest change; None where it is none."""
    return value if type(value) is int and 0 <= value <= MAX_STREAM_ID else None


def read_cross_signing(user_id: str, keys: Mapping[Usage, object]) -> list[CrossSigningKey]:
    """The user's master and self-signing key, those of them that are keys."""
    found = []
    for usage, key in keys.items():
        if isinstance(key, dict):
            try:
                public_key = parse_cross_signing_key(key, user_id, usage)
                found.append(CrossSigningKey(user_id, usage, public_key, encode_canonical(key)))
            except MatrixError:
                continue
    return found


def read_list_answer(answer: Mapping[str, Any], user_id: str) -> tuple[RemoteDeviceList, list[CrossSigningKey]]:
    """Of `user/devices`: the user's list, with the number of its newest change, and his keys."""
    stream_id, devices = read_stream_id(answer.get("stream_id")), read_device_list(user_id, answer.get("devices"))
    public: dict[Usage, object] = {"master": answer.get("master_key"), "self_signing": answer.get("self_signing_key")}
    return RemoteDeviceList(user_id, stream_id, devices), read_cross_signing(user_id, public)


def read_query_answer(
    answer: Mapping[str, Any], user_ids: Sequence[str]
) -> tuple[dict[str, list[RemoteDevice]], list[CrossSigningKey]]:
    """Of `user/keys/query`: devices by user, for those who were asked for, and their keys."""
    devices, masters, selves = (_object(answer, key) for key in ("device_keys", "master_keys", "self_signing_keys"))
    by_user = {user_id: read_devices_by_id(user_id, devices.get(user_id)) for user_id in user_ids if user_id in devices}
    keys: list[CrossSigningKey] = []
    for user_id in user_ids:
        keys += read_cross_signing(user_id, {"master": masters.get(user_id), "self_signing": selves.get(user_id)})
    return by_user, keys


def _object(answer: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    value = answer.get(key)
    return value if isinstance(value, dict) else {}

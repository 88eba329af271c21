"""Changes of our users' devices and cross-signing keys, for other servers.

What changed is found by comparing digests, whoever caused it; each device has its newest change only.
Source: server-server API, "Device Management".
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import orjson

from homeserver.federation.sending.destination import Edu
from homeserver.storage.device_changes import CROSS_SIGNING, DeviceChange

if TYPE_CHECKING:
    from homeserver.storage.cross_signing import CrossSigningKey, CrossSigningKeys
    from homeserver.storage.database import Queries
    from homeserver.storage.device_changes import DeviceChangeRows, Numbers
    from homeserver.storage.device_keys import DeviceKeys, StoredDeviceKeys
    from homeserver.storage.outbound import DestinationRow


@dataclass(frozen=True, slots=True)
class DeviceUpdates:
    """Two verbs: `record` what changed, `edus` of what a server has to hear."""

    queries: Queries
    rows: DeviceChangeRows
    device_keys: DeviceKeys
    cross_signing: CrossSigningKeys

    async def record(self, user_ids: Collection[str]) -> dict[str, Numbers]:
        """Look at all that these users have; who has no change that others see is left out. Three statements."""
        users = list(user_ids)
        found = await self.device_keys.of_users(self.queries, users)
        devices = [(user, each.device_id, _digest_of(each)) for user, all_ in found.items() for each in all_]
        signing: dict[str, list[CrossSigningKey]] = {}
        for key in _public(await self.cross_signing.of_users(self.queries, users)):
            signing.setdefault(key.user_id, []).append(key)
        for user, keys in signing.items():
            whole = b"".join(key.key for key in sorted(keys, key=lambda key: key.usage))
            devices.append((user, CROSS_SIGNING, _digest(whole)))
        return await self.rows.record(self.queries, users, devices)

    async def edus(self, row: DestinationRow, limit: int) -> tuple[list[Edu], int]:
        """EDUs for a server, and up to which change they go. Three statements."""
        if limit <= 0:
            return [], row.sent_devices
        wanted = row.wanted_devices  # what is wanted from here on may be missing from the answer
        changes = await self.rows.for_server(self.queries, row.destination, row.sent_devices, limit)
        up_to = changes[-1].stream_id if len(changes) == limit else wanted
        if not changes:
            return [], up_to
        users = list({change.user_id for change in changes})
        devices = await self.device_keys.of_users(self.queries, users)
        by_name = {(each.user_id, each.device_id): each for found in devices.values() for each in found}
        keys: dict[str, list[CrossSigningKey]] = {}
        for key in _public(await self.cross_signing.of_users(self.queries, users)):
            keys.setdefault(key.user_id, []).append(key)
        edus = []
        for change in changes:
            if change.device_id == CROSS_SIGNING:
                edus.append(_signing_keys(change.user_id, keys.get(change.user_id, [])))
            else:
                edus.append(_device(change, by_name.get((change.user_id, change.device_id))))
        return edus, max(up_to, changes[-1].stream_id)


def _digest_of(device: StoredDeviceKeys) -> bytes:
    """A new name is told as a change without the name, which is for this server's users only."""
    return _digest(device.keys + (device.display_name or "").encode())


def _digest(keys: bytes) -> bytes:
    return hashlib.sha256(keys).digest()


def _public(keys: list[CrossSigningKey]) -> list[CrossSigningKey]:
    return [key for key in keys if key.usage != "user_signing"]


def _signing_keys(user_id: str, keys: list[CrossSigningKey]) -> Edu:
    content: dict[str, Any] = {"user_id": user_id}
    content.update({f"{key.usage}_key": orjson.loads(key.key) for key in keys})
    return {"edu_type": "m.signing_key_update", "content": content}


def _device(change: DeviceChange, device: StoredDeviceKeys | None) -> Edu:
    content: dict[str, Any] = {
        "user_id": change.user_id,
        "device_id": change.device_id,
        "stream_id": change.stream_id,
        "prev_id": [] if change.prev_id is None else [change.prev_id],
    }
    if change.deleted or device is None:
        content["deleted"] = True
    else:
        content["keys"] = orjson.loads(device.keys)
    return {"edu_type": "m.device_list_update", "content": content}

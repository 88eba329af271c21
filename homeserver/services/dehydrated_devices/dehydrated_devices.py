"""The verbs over a user's dehydrated device: put it to sleep, fetch it, read its messages, delete it. MSC3814."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import orjson

from homeserver.protocol import errors
from homeserver.services.devices import Devices
from homeserver.services.keys.counts import KeyCountCache
from homeserver.services.keys.upload import KeyUpload, KeyUploads, parse_upload
from homeserver.services.sessions.authenticator import Authenticator
from homeserver.services.text_limits import check_device_id, check_device_name
from homeserver.services.to_device.deliver import Deliveries
from homeserver.storage.dehydrated_devices import DehydratedDevice, DehydratedDevices
from homeserver.storage.devices import DeletedDevices, DeviceRows

if TYPE_CHECKING:
    from homeserver.services.clock import Clock
    from homeserver.services.device_lists.changes import DeviceListChange, DeviceLists
    from homeserver.storage.database import Database, Queries

# A pickled account with 50 one-time keys has some 10 KiB.
MAX_DEVICE_DATA_BYTES = 256 * 1024
MAX_MESSAGES_PER_ANSWER = 100
_TOKEN = re.compile(r"d([0-9]{1,18})", re.ASCII)


@dataclass(frozen=True, slots=True)
class DeviceToSleep:
    """The request that puts a device to sleep."""

    device_id: str
    device_data: dict[str, Any]
    device_keys: dict[str, Any]
    display_name: str | None = None
    one_time_keys: dict[str, Any] = field(default_factory=dict)
    fallback_keys: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Received:
    """Messages (events in JSON) for the sleeping device, and the token that continues after them."""

    events: Sequence[bytes]
    next_batch: str


@dataclass(frozen=True, slots=True)
class Dehydration:
    """The verbs."""

    database: Database
    rows: DehydratedDevices
    device_rows: DeviceRows
    devices: Devices
    authenticator: Authenticator
    key_uploads: KeyUploads
    counts: KeyCountCache
    deliveries: Deliveries
    device_lists: DeviceLists
    clock: Clock

    async def put_to_sleep(self, user_id: str, device: DeviceToSleep) -> None:
        """Store the device in place of the one before, keys included, all or nothing.

        Raises BadJson, InvalidParam for keys that are no keys and for the name of a device that is awake.
        """
        check_device_id(device.device_id)
        check_device_name(device.display_name)
        device_data = _encode(device.device_data)
        keys = parse_upload(
            user_id, device.device_id, device.device_keys, device.one_time_keys, device.fallback_keys
        )  # fmt: skip
        async with self.device_lists.changing(user_id) as change, self.database.transaction() as tx:
            await self.rows.lock_user(tx, user_id)
            replaced = await self._delete_present(tx, user_id)
            await self._create(tx, user_id, device, device_data, keys, change)
        await self._forget(user_id, replaced)

    async def _delete_present(self, tx: Queries, user_id: str) -> DeletedDevices:
        present = await self.rows.of_user(tx, user_id)
        if present is None:
            return DeletedDevices([], [])
        return await self.device_rows.delete(tx, user_id, [present.device_id])

    async def _create(
        self,
        tx: Queries,
        user_id: str,
        device: DeviceToSleep,
        device_data: bytes,
        keys: KeyUpload,
        change: DeviceListChange,
    ) -> None:
        device_nid = await self.rows.create_device(
            tx, user_id, device.device_id, device.display_name, self.clock.now_ms()
        )  # fmt: skip
        if device_nid is None:
            raise errors.InvalidParam("You have a device of that name which does not sleep")
        await self.key_uploads.store(tx, user_id, device_nid, keys, change)
        await self.rows.store(tx, user_id, device_nid, device_data)

    async def _forget(self, user_id: str, replaced: DeletedDevices) -> None:
        """What is in memory of the device that was replaced, after the commit."""
        self.authenticator.forget(replaced.token_hashes)
        await self.deliveries.devices_deleted(user_id, replaced.device_ids)
        await self.counts.devices_deleted(user_id, replaced.device_ids)

    async def get(self, user_id: str) -> DehydratedDevice:
        """The sleeping device. Raises NotFound."""
        device = await self.rows.of_user(self.database, user_id)
        if device is None:
            raise errors.NotFound("You have no dehydrated device")
        return device

    async def delete(self, user_id: str) -> str:
        """Delete the sleeping device with its keys and messages. Returns its id. Raises NotFound."""
        device = await self.get(user_id)
        await self.devices.delete(user_id, [device.device_id])
        return device.device_id

    async def received(
        self, user_id: str, device_id: str, since: str | None, limit: int = MAX_MESSAGES_PER_ANSWER
    ) -> Received:
        """Messages for the sleeping device. They stay: a client that is interrupted may begin again, so may another.

        Raises NotFound unless that is the user's dehydrated device, InvalidParam for a token that is none.
        """
        position = _parse_token(since)
        device = await self.get(user_id)
        if device.device_id != device_id:
            raise errors.NotFound("That is not your dehydrated device")
        letters = await self.deliveries.peek(user_id, device_id, position, min(limit, MAX_MESSAGES_PER_ANSWER))
        return Received(letters.events, f"d{letters.up_to}")


def _encode(device_data: dict[str, Any]) -> bytes:
    if not isinstance(device_data.get("algorithm"), str):
        raise errors.BadJson("'device_data.algorithm' must be a string")
    encoded = orjson.dumps(device_data)
    if len(encoded) > MAX_DEVICE_DATA_BYTES:
        raise errors.InvalidParam(f"'device_data' has at most {MAX_DEVICE_DATA_BYTES} bytes")
    return encoded


def _parse_token(token: str | None) -> int:
    if not token:
        return 0
    found = _TOKEN.fullmatch(token)
    if found is None:
        raise errors.InvalidParam("'next_batch' is not a token of this server")
    return int(found[1])

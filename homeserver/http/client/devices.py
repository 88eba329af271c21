"""One's own devices. Client-server API, "Device Management"."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from homeserver.http.endpoint import endpoint
from homeserver.http.request import Request
from homeserver.http.responses import Json, Response
from homeserver.services.devices import Devices
from homeserver.services.ui_auth.ui_auth import UiAuth
from homeserver.storage.devices import Device

DEVICES = "/_matrix/client/v3/devices"
DEVICE = DEVICES + "/{device_id}"


class RenameBody(msgspec.Struct):
    display_name: str | None = None


class DeleteBody(msgspec.Struct):
    auth: dict[str, Any] | None = None


class DeleteManyBody(msgspec.Struct):
    devices: list[str]
    auth: dict[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class DeviceEndpoints:
    """Whoever deletes a device proves that he is more than somebody who found it unlocked."""

    devices: Devices
    ui_auth: UiAuth

    @endpoint("GET", DEVICES, guests=True)
    async def all(self, request: Request[None]) -> Response:
        found = await self.devices.of_user(request.requester.user_id)
        return {"devices": [_device(device) for device in found]}

    @endpoint("GET", DEVICE, guests=True)
    async def one(self, request: Request[None]) -> Response:
        return _device(await self.devices.get(request.requester.user_id, request.path["device_id"]))

    @endpoint("PUT", DEVICE, guests=True, body=RenameBody, limit="session")
    async def rename(self, request: Request[RenameBody]) -> Response:
        requester, device_id, display_name = request.requester, request.path["device_id"], request.body.display_name
        if requester.appservice_id is not None and await self.devices.make(requester, device_id, display_name):
            return Json(201, {})
        await self.devices.rename(requester.user_id, device_id, display_name)
        return {}

    @endpoint("DELETE", DEVICE, body=DeleteBody, limit="session")
    async def delete(self, request: Request[DeleteBody]) -> Response:
        device_id = request.path["device_id"]
        await self._check(request, request.body.auth, [device_id])
        await self.devices.delete(request.requester.user_id, [device_id])
        return {}

    @endpoint("POST", "/_matrix/client/v3/delete_devices", body=DeleteManyBody, limit="session")
    async def delete_many(self, request: Request[DeleteManyBody]) -> Response:
        device_ids = request.body.devices
        self.devices.check_deletion(device_ids)
        await self._check(request, request.body.auth, device_ids)
        await self.devices.delete(request.requester.user_id, device_ids)
        return {}

    async def _check(self, request: Request[Any], auth: Mapping[str, Any] | None, device_ids: list[str]) -> None:
        """The proof is good for these devices only: nobody can swap them between two requests of one session.

        "MUST NOT require User-Interactive Authentication when used by an application service"
        """
        if request.requester.appservice_id is not None:
            return
        names = hashlib.sha256("\0".join(sorted(set(device_ids))).encode("utf-8", "surrogatepass")).hexdigest()
        await self.ui_auth.check(auth, request.requester, f"DELETE /devices {names}", ip=request.remote_address)


def _device(device: Device) -> dict[str, Any]:
    answer = {
        "device_id": device.device_id,
        "display_name": device.display_name,
        "last_seen_ip": device.last_seen_ip,
        "last_seen_ts": device.last_seen_ms,
    }
    return {key: value for key, value in answer.items() if value is not None}

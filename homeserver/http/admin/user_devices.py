"""Devices of users, at the addresses and in the form that Synapse's tools know."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec

from homeserver.http.endpoint import Auth, endpoint
from homeserver.http.request import Request
from homeserver.http.responses import Json, Response
from homeserver.services.administration.user_devices import DeviceAdministration
from homeserver.storage.devices import Device

DEVICES = "/_synapse/admin/v2/users/{user_id}/devices"
DEVICE = DEVICES + "/{device_id}"


class NewDeviceBody(msgspec.Struct):
    device_id: str


class RenameBody(msgspec.Struct):
    display_name: str | None = None


class DeleteBody(msgspec.Struct):
    devices: list[str]


@dataclass(frozen=True, slots=True)
class UserDeviceEndpoints:
    """All for administrators."""

    devices: DeviceAdministration

    @endpoint("GET", DEVICES, auth=Auth.ADMIN)
    async def all(self, request: Request[None]) -> Response:
        user_id = request.path["user_id"]
        found = [_shown(user_id, device) for device in await self.devices.of_user(user_id)]
        return {"devices": found, "total": len(found)}

    @endpoint("POST", DEVICES, auth=Auth.ADMIN, body=NewDeviceBody, limit="administration")
    async def make(self, request: Request[NewDeviceBody]) -> Response:
        await self.devices.make(request.requester, request.path["user_id"], request.body.device_id)
        return Json(201, {})

    @endpoint("GET", DEVICE, auth=Auth.ADMIN)
    async def one(self, request: Request[None]) -> Response:
        user_id = request.path["user_id"]
        return _shown(user_id, await self.devices.get(user_id, request.path["device_id"]))

    @endpoint("PUT", DEVICE, auth=Auth.ADMIN, body=RenameBody, limit="administration")
    async def rename(self, request: Request[RenameBody]) -> Response:
        path = request.path
        await self.devices.rename(
            request.requester, path["user_id"], path["device_id"], request.body.display_name
        )  # fmt: skip
        return {}

    @endpoint("DELETE", DEVICE, auth=Auth.ADMIN, limit="administration")
    async def delete(self, request: Request[None]) -> Response:
        await self.devices.delete(request.requester, request.path["user_id"], [request.path["device_id"]])
        return {}

    @endpoint(
        "POST",
        "/_synapse/admin/v2/users/{user_id}/delete_devices",
        auth=Auth.ADMIN,
        body=DeleteBody,
        limit="administration",
    )
    async def delete_many(self, request: Request[DeleteBody]) -> Response:
        await self.devices.delete(request.requester, request.path["user_id"], request.body.devices)
        return {}


def _shown(user_id: str, device: Device) -> dict[str, Any]:
    return {
        "device_id": device.device_id,
        "display_name": device.display_name,
        "last_seen_ip": device.last_seen_ip,
        "last_seen_user_agent": device.last_seen_user_agent,
        "last_seen_ts": device.last_seen_ms,
        "user_id": user_id,
        # Those are kept apart: nobody signs in with one.
        "dehydrated": False,
    }

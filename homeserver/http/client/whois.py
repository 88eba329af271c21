"""Where an account was seen. Client-server API, "Server Administration"."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from homeserver.http.endpoint import endpoint
from homeserver.http.request import Request
from homeserver.http.responses import Response
from homeserver.services.devices import Devices
from homeserver.storage.devices import Device


@dataclass(frozen=True, slots=True)
class WhoIsEndpoints:
    """For the account itself, and for administrators."""

    devices: Devices

    # The second is how Synapse's tools ask.
    @endpoint("GET", "/_matrix/client/v3/admin/whois/{user_id}", "/_synapse/admin/v1/whois/{user_id}")
    async def who_is(self, request: Request[None]) -> Response:
        user_id = request.path["user_id"]
        found = await self.devices.of_account(request.requester, user_id)
        return {"user_id": user_id, "devices": {device.device_id: _seen(device) for device in found}}


def _seen(device: Device) -> dict[str, Any]:
    """A device has one session, of which the last connection is known."""
    connection = {
        "ip": device.last_seen_ip,
        "last_seen": device.last_seen_ms,
        "user_agent": device.last_seen_user_agent,
    }
    return {"sessions": [{"connections": [connection] if device.last_seen_ms is not None else []}]}

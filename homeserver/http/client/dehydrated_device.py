"""The device that sleeps on the server. Not in the spec yet: MSC3814."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec
import orjson

from homeserver.http.endpoint import endpoint
from homeserver.http.request import Request
from homeserver.http.responses import Response
from homeserver.services.dehydrated_devices.dehydrated_devices import (
    MAX_MESSAGES_PER_ANSWER,
    Dehydration,
    DeviceToSleep,
)

DEVICE = "/_matrix/client/unstable/org.matrix.msc3814.v1/dehydrated_device"


class DeviceBody(msgspec.Struct):
    device_id: str
    device_data: dict[str, Any]
    device_keys: dict[str, Any]
    initial_device_display_name: str | None = None
    one_time_keys: dict[str, Any] = msgspec.field(default_factory=dict)
    fallback_keys: dict[str, Any] = msgspec.field(default_factory=dict)


class EventsBody(msgspec.Struct):
    next_batch: str | None = None


@dataclass(frozen=True, slots=True)
class DehydratedDeviceEndpoints:
    dehydration: Dehydration

    @endpoint("PUT", DEVICE, body=DeviceBody, limit="keys")
    async def put_to_sleep(self, request: Request[DeviceBody]) -> Response:
        body = request.body
        device = DeviceToSleep(
            body.device_id,
            body.device_data,
            body.device_keys,
            body.initial_device_display_name,
            body.one_time_keys,
            body.fallback_keys,
        )
        await self.dehydration.put_to_sleep(request.requester.user_id, device)
        return {"device_id": body.device_id}

    @endpoint("GET", DEVICE)
    async def get(self, request: Request[None]) -> Response:
        device = await self.dehydration.get(request.requester.user_id)
        return {"device_id": device.device_id, "device_data": orjson.Fragment(device.device_data)}

    @endpoint("DELETE", DEVICE, limit="keys")
    async def delete(self, request: Request[None]) -> Response:
        return {"device_id": await self.dehydration.delete(request.requester.user_id)}

    @endpoint("POST", DEVICE + "/{device_id}/events", body=EventsBody, limit="keys")
    async def events(self, request: Request[EventsBody]) -> Response:
        limit = request.query.integer("limit", MAX_MESSAGES_PER_ANSWER, minimum=1, maximum=MAX_MESSAGES_PER_ANSWER)
        user_id, device_id = request.requester.user_id, request.path["device_id"]
        received = await self.dehydration.received(user_id, device_id, request.body.next_batch, limit)
        return {"events": [orjson.Fragment(event) for event in received.events], "next_batch": received.next_batch}

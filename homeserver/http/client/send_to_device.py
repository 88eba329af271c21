"""PUT /sendToDevice. Client-server API, "Send-to-Device messaging"."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec

from homeserver.http.endpoint import KIBIBYTE, endpoint
from homeserver.http.request import Request
from homeserver.http.responses import Response
from homeserver.services.to_device.send import SendToDevice

# Room keys for some hundred devices, each encrypted on its own.
MAX_BODY_BYTES = 4096 * KIBIBYTE


class SendToDeviceBody(msgspec.Struct):
    messages: dict[str, dict[str, dict[str, Any]]]


@dataclass(frozen=True, slots=True)
class SendToDeviceEndpoints:
    sending: SendToDevice

    @endpoint(
        "PUT",
        "/_matrix/client/v3/sendToDevice/{event_type}/{txn_id}",
        guests=True,
        body=SendToDeviceBody,
        max_body_bytes=MAX_BODY_BYTES,
        limit="to_device",
    )
    async def send(self, request: Request[SendToDeviceBody]) -> Response:
        path = request.path
        await self.sending.send(request.requester, path["event_type"], path["txn_id"], request.body.messages)
        return {}

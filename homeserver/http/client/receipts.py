"""Client-server API, "Receipts" and "Read and unread markers"."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec

from homeserver.http.endpoint import endpoint
from homeserver.http.request import Request
from homeserver.http.responses import Response
from homeserver.protocol import errors
from homeserver.services.account_data.account_data import FULLY_READ
from homeserver.services.read_markers import ReadMarkers
from homeserver.services.receipts.receipts import Receipts

ROOM = "/_matrix/client/v3/rooms/{room_id}"


class ReceiptBody(msgspec.Struct):
    # Any: what is no string has an errcode of its own here.
    thread_id: Any = None


class MarkersBody(msgspec.Struct):
    fully_read: str | None = msgspec.field(default=None, name="m.fully_read")
    read: str | None = msgspec.field(default=None, name="m.read")
    read_private: str | None = msgspec.field(default=None, name="m.read.private")


@dataclass(frozen=True, slots=True)
class ReceiptEndpoints:
    """How far one has read."""

    receipts: Receipts
    markers: ReadMarkers

    @endpoint("POST", ROOM + "/receipt/{receipt_type}/{event_id}", guests=True, body=ReceiptBody, limit="receipt")
    async def send_receipt(self, request: Request[ReceiptBody]) -> Response:
        user_id, path = request.requester.user_id, request.path
        if path["receipt_type"] == FULLY_READ:
            await self._send_fully_read(request)
        else:
            await self.receipts.send(
                user_id, path["room_id"], path["receipt_type"], path["event_id"], request.body.thread_id
            )
        return {}

    async def _send_fully_read(self, request: Request[ReceiptBody]) -> None:
        if request.body.thread_id is not None:
            raise errors.InvalidParam("m.fully_read has no 'thread_id'")
        await self.markers.set(request.requester.user_id, request.path["room_id"], fully_read=request.path["event_id"])

    @endpoint("POST", ROOM + "/read_markers", guests=True, body=MarkersBody, limit="receipt")
    async def set_markers(self, request: Request[MarkersBody]) -> Response:
        body = request.body
        await self.markers.set(
            request.requester.user_id,
            request.path["room_id"],
            fully_read=body.fully_read,
            read=body.read,
            read_private=body.read_private,
        )
        return {}

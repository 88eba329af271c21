"""Client-server API, "Sending events to a room"."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from homeserver.http.endpoint import endpoint
from homeserver.http.request import Request
from homeserver.http.responses import Response
from homeserver.services.rooms.send_event import SendEvent


@dataclass(frozen=True, slots=True)
class RoomEventEndpoints:
    """What members say."""

    send: SendEvent

    @endpoint(
        "PUT",
        "/_matrix/client/v3/rooms/{room_id}/send/{event_type}/{txn_id}",
        guests=True,
        body=dict,
        limit="message",
    )
    async def send_event(self, request: Request[dict[str, Any]]) -> Response:
        path = request.path
        event_id = await self.send(request.requester, path["room_id"], path["event_type"], request.body, path["txn_id"])
        return {"event_id": event_id}

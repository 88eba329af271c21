"""Client-server API, "Getting events for a room": the room's state."""

from __future__ import annotations

from dataclasses import dataclass

from homeserver.http.endpoint import endpoint
from homeserver.http.request import Request
from homeserver.http.responses import Raw, Response
from homeserver.services.timeline.room_state import ReadState

STATE = "/_matrix/client/v3/rooms/{room_id}/state"


@dataclass(frozen=True, slots=True)
class RoomStateReadEndpoints:
    """All state, or one piece of it."""

    read: ReadState

    @endpoint("GET", STATE, guests=True)
    async def state(self, request: Request[None]) -> Response:
        events = await self.read.everything(request.requester, request.path["room_id"])
        return Raw(b"[" + b",".join(events) + b"]")

    @endpoint("GET", STATE + "/{event_type}/{state_key}", STATE + "/{event_type}", guests=True)
    async def state_event(self, request: Request[None]) -> Response:
        path = request.path
        form = request.query.one_of("format", ("content", "event"), "content")
        state_key = path.get("state_key", "")
        event = await self.read.one(request.requester, path["room_id"], path["event_type"], state_key)
        return Raw(self.read.shown(event)) if form == "event" else event.content

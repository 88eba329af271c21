"""Client-server API, "Event context": what was said around an event."""

from __future__ import annotations

from dataclasses import dataclass

from homeserver.http.client.event_json import context_json, limit_of, room_event_filter
from homeserver.http.endpoint import endpoint
from homeserver.http.request import Request
from homeserver.http.responses import Response
from homeserver.services.timeline.context import ReadContext


@dataclass(frozen=True, slots=True)
class RoomContextEndpoints:
    """One endpoint."""

    read: ReadContext

    @endpoint("GET", "/_matrix/client/v3/rooms/{room_id}/context/{event_id}", guests=True)
    async def context(self, request: Request[None]) -> Response:
        path, event_filter = request.path, room_event_filter(request.query)
        limit = limit_of(request.query, event_filter)
        context = await self.read(request.requester, path["room_id"], path["event_id"], limit, event_filter)
        return context_json(context)

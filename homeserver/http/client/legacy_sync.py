"""GET /events and /initialSync, deprecated since r0. Client-server API, "Syncing" and "Room Previews"."""

from __future__ import annotations

from dataclasses import dataclass

from homeserver.http.endpoint import endpoint
from homeserver.http.request import Request
from homeserver.http.responses import Response
from homeserver.services.sync.legacy_events import EventStream
from homeserver.services.sync.legacy_initial_sync import FirstAnswer
from homeserver.services.sync.request import DEFAULT_TIMELINE_EVENTS, MAX_TIMELINE_EVENTS
from homeserver.services.sync.room_previews import RoomPreview

MAX_TIMEOUT_MS = 60_000


@dataclass(frozen=True, slots=True)
class LegacySyncEndpoints:
    """What clients of before /sync ask."""

    stream: EventStream
    preview: RoomPreview
    first: FirstAnswer

    @endpoint("GET", "/_matrix/client/v3/events", guests=True, waits=True, limit="sync")
    async def get_events(self, request: Request[None]) -> Response:
        query = request.query
        query.integer("limit", minimum=0)
        # An empty `from` is none: that is how clients of old begin.
        start, room_id = query.string("from") or None, query.string("room_id")
        timeout_ms = query.integer("timeout", 0, minimum=0, maximum=MAX_TIMEOUT_MS)
        if room_id is None:
            found = await self.stream(request.requester, start, timeout_ms)
        else:
            found = await self.preview(request.requester, room_id, start, timeout_ms)
        return {"chunk": found.chunk, "start": found.start, "end": found.end}

    @endpoint("GET", "/_matrix/client/v3/initialSync", limit="sync")
    async def initial_sync(self, request: Request[None]) -> Response:
        limit = request.query.integer("limit", DEFAULT_TIMELINE_EVENTS, minimum=0, maximum=MAX_TIMELINE_EVENTS)
        return await self.first(request.requester, limit, archived=request.query.boolean("archived"))

"""Client-server API, "Getting events for a room": one event, by its id or by its time."""

from __future__ import annotations

from dataclasses import dataclass

from homeserver.http.endpoint import endpoint
from homeserver.http.request import Request
from homeserver.http.responses import Raw, Response
from homeserver.protocol.errors import MissingParam
from homeserver.services.timeline.event_anywhere import ReadEventAnywhere
from homeserver.services.timeline.event_at_time import FindEventAtTime
from homeserver.services.timeline.single_event import ReadEvent

# MSC2815.
UNREDACTED = "include_unredacted_content"
UNSTABLE_PREFIX = "fi.mau.msc2815."


@dataclass(frozen=True, slots=True)
class RoomEventReadEndpoints:
    """Single events."""

    read: ReadEvent
    read_anywhere: ReadEventAnywhere
    at_time: FindEventAtTime

    @endpoint("GET", "/_matrix/client/v3/rooms/{room_id}/event/{event_id}", guests=True)
    async def event(self, request: Request[None]) -> Response:
        unredacted = request.query.boolean(UNREDACTED) or request.query.boolean(UNSTABLE_PREFIX + UNREDACTED)
        room_id, event_id = request.path["room_id"], request.path["event_id"]
        return Raw(await self.read(request.requester, room_id, event_id, unredacted=unredacted))

    @endpoint("GET", "/_matrix/client/v3/events/{event_id}", guests=True)
    async def event_anywhere(self, request: Request[None]) -> Response:
        """Deprecated since r0."""
        return Raw(await self.read_anywhere(request.requester, request.path["event_id"]))

    @endpoint("GET", "/_matrix/client/v1/rooms/{room_id}/timestamp_to_event")
    async def timestamp_to_event(self, request: Request[None]) -> Response:
        ts = request.query.integer("ts")
        direction = request.query.one_of("dir", ("f", "b"))
        if ts is None or direction is None:
            raise MissingParam("Missing query parameter 'ts' or 'dir'")
        event_id, origin_server_ts = await self.at_time(
            request.requester.user_id, request.path["room_id"], ts, forwards=direction == "f"
        )
        return {"event_id": event_id, "origin_server_ts": origin_server_ts}

"""Client-server API, "Getting events for a room": /messages."""

from __future__ import annotations

from dataclasses import dataclass

from homeserver.http.client.event_json import limit_of, messages_json, room_event_filter
from homeserver.http.endpoint import endpoint
from homeserver.http.query import Query
from homeserver.http.request import Request
from homeserver.http.responses import Response
from homeserver.protocol.errors import MissingParam
from homeserver.services.timeline.messages import MessagesQuery, ReadMessages


@dataclass(frozen=True, slots=True)
class RoomMessagesEndpoints:
    """History, page by page."""

    read: ReadMessages

    @endpoint("GET", "/_matrix/client/v3/rooms/{room_id}/messages", guests=True)
    async def messages(self, request: Request[None]) -> Response:
        return messages_json(await self.read(request.requester, request.path["room_id"], _parse(request.query)))


def _parse(query: Query) -> MessagesQuery:
    direction = query.one_of("dir", ("b", "f"))
    if direction is None:
        raise MissingParam("Missing query parameter 'dir'")
    event_filter = room_event_filter(query)
    return MessagesQuery(
        backwards=direction == "b",
        limit=limit_of(query, event_filter),
        start=query.string("from"),
        stop=query.string("to"),
        filter=event_filter,
    )

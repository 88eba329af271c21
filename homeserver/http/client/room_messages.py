"""Client-server API, "Getting events for a room": /messages."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from homeserver.http.client.event_json import json_list, limit_of, room_event_filter
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
        page = await self.read(request.requester, request.path["room_id"], _parse(request.query))
        answer: dict[str, Any] = {"chunk": json_list(page.chunk), "start": page.start}
        if page.end is not None:
            answer["end"] = page.end
        if page.state is not None:
            answer["state"] = json_list(page.state)
        return answer


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

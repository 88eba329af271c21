"""Client-server API, "Room previews": a first look at a room."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from homeserver.http.client.event_json import MAX_LIMIT, json_list
from homeserver.http.endpoint import endpoint
from homeserver.http.request import Request
from homeserver.http.responses import Response
from homeserver.services.presence.old_form import in_old_form
from homeserver.services.timeline.initial_sync import NEWEST_EVENTS, ReadFirstLook


@dataclass(frozen=True, slots=True)
class RoomInitialSyncEndpoints:
    """One endpoint."""

    read: ReadFirstLook

    @endpoint("GET", "/_matrix/client/v3/rooms/{room_id}/initialSync", guests=True)
    async def initial_sync(self, request: Request[None]) -> Response:
        room_id = request.path["room_id"]
        # No parameter of the spec, but clients from before /sync send it.
        limit = request.query.integer("limit", NEWEST_EVENTS, minimum=0, maximum=MAX_LIMIT)
        look = await self.read(request.requester, room_id, limit)
        page = look.messages
        answer: dict[str, Any] = {
            "room_id": room_id,
            # "The pagination chunk": oldest first, so `start` is where older events are asked for.
            "messages": {
                "chunk": json_list(reversed(page.chunk)),
                "start": page.start if page.end is None else page.end,
                "end": page.start,
            },
            "state": json_list(look.state),
            "visibility": "public" if look.is_published else "private",
            "account_data": json_list(look.account_data),
            # Gone from the spec, but clients of before /sync read them.
            "presence": in_old_form(look.presence),
            "receipts": [],
        }
        if look.receipts is not None:
            answer["receipts"] = [{"type": "m.receipt", "room_id": room_id, "content": look.receipts}]
        if look.membership is not None:
            answer["membership"] = look.membership
        return answer

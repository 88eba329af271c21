"""Client-server API, "Room Tagging"."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from homeserver.http.endpoint import endpoint
from homeserver.http.request import Request
from homeserver.http.responses import Response
from homeserver.services.tags import RoomTags

TAGS = "/_matrix/client/v3/user/{user_id}/rooms/{room_id}/tags"


@dataclass(frozen=True, slots=True)
class TagEndpoints:
    """Labels of rooms."""

    tags: RoomTags

    @endpoint("GET", TAGS)
    async def of_room(self, request: Request[None]) -> Response:
        return {"tags": await self.tags.of_room(request.requester, request.path["user_id"], request.path["room_id"])}

    @endpoint("PUT", TAGS + "/{tag}", body=dict, limit="preferences")
    async def put(self, request: Request[dict[str, Any]]) -> Response:
        path = request.path
        await self.tags.put(request.requester, path["user_id"], path["room_id"], path["tag"], request.body)
        return {}

    @endpoint("DELETE", TAGS + "/{tag}", limit="preferences")
    async def remove(self, request: Request[None]) -> Response:
        path = request.path
        await self.tags.remove(request.requester, path["user_id"], path["room_id"], path["tag"])
        return {}

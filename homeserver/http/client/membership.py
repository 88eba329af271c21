"""Client-server API, "Room membership"."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from homeserver.http.endpoint import endpoint
from homeserver.http.request import Request
from homeserver.http.responses import Response
from homeserver.services.directory.resolve import ResolveRoom
from homeserver.services.membership.join import JoinRoom


class ReasonBody(msgspec.Struct):
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class MembershipEndpoints:
    """Who comes, who goes."""

    resolve: ResolveRoom
    join: JoinRoom

    @endpoint("POST", "/_matrix/client/v3/join/{room}", guests=True, body=ReasonBody, limit="join")
    async def join_by_name(self, request: Request[ReasonBody]) -> Response:
        room_id = await self.resolve.room_id(request.path["room"])
        return {"room_id": await self.join(request.requester, room_id, reason=request.body.reason)}

    @endpoint("POST", "/_matrix/client/v3/rooms/{room_id}/join", guests=True, body=ReasonBody, limit="join")
    async def join_by_id(self, request: Request[ReasonBody]) -> Response:
        return {"room_id": await self.join(request.requester, request.path["room_id"], reason=request.body.reason)}

"""What a user is in which room, and what his clients keep here, in the form that Synapse's tools know."""

from __future__ import annotations

from dataclasses import dataclass

from homeserver.http.endpoint import Auth, endpoint
from homeserver.http.request import Request
from homeserver.http.responses import Response
from homeserver.services.administration.user_rooms import UserInsight

V1 = "/_synapse/admin/v1"


@dataclass(frozen=True, slots=True)
class UserRoomEndpoints:
    """All for administrators."""

    insight: UserInsight

    @endpoint("GET", f"{V1}/users/{{user_id}}/joined_rooms", auth=Auth.ADMIN)
    async def joined_rooms(self, request: Request[None]) -> Response:
        memberships = await self.insight.memberships(request.path["user_id"])
        joined = sorted(room_id for room_id, membership in memberships.items() if membership == "join")
        return {"joined_rooms": joined, "total": len(joined)}

    @endpoint("GET", f"{V1}/users/{{user_id}}/memberships", auth=Auth.ADMIN)
    async def memberships(self, request: Request[None]) -> Response:
        return {"memberships": await self.insight.memberships(request.path["user_id"])}

    @endpoint("GET", f"{V1}/users/{{user_id}}/cumulative_joined_room_count", auth=Auth.ADMIN)
    async def joined_since(self, request: Request[None]) -> Response:
        joined = await self.insight.rooms_joined_since(request.path["user_id"], _since(request))
        return {"cumulative_joined_room_count": joined}

    @endpoint("GET", f"{V1}/users/{{user_id}}/sent_invite_count", auth=Auth.ADMIN)
    async def invited_since(self, request: Request[None]) -> Response:
        return {"invite_count": await self.insight.invitations_since(request.path["user_id"], _since(request))}

    @endpoint("GET", f"{V1}/users/{{user_id}}/accountdata", auth=Auth.ADMIN, limit="administration")
    async def account_data(self, request: Request[None]) -> Response:
        data = await self.insight.account_data(request.requester, request.path["user_id"])
        return {"account_data": {"global": data.everywhere, "rooms": data.rooms}}


def _since(request: Request[None]) -> int:
    request.query.required("from_ts")
    return request.query.integer("from_ts", 0, minimum=0)

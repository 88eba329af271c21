"""Client-server API, "Getting events for a room": who is in it."""

from __future__ import annotations

from dataclasses import dataclass

from homeserver.http.client.event_json import json_list
from homeserver.http.endpoint import endpoint
from homeserver.http.request import Request
from homeserver.http.responses import Response
from homeserver.services.members import MembersQuery, ReadMembers

MEMBERSHIPS = ("join", "invite", "knock", "leave", "ban")


@dataclass(frozen=True, slots=True)
class RoomMembersEndpoints:
    """Membership events, and profiles of those who are there."""

    read: ReadMembers

    @endpoint("GET", "/_matrix/client/v3/rooms/{room_id}/members", guests=True)
    async def members(self, request: Request[None]) -> Response:
        query = request.query
        asked = MembersQuery(
            at=query.string("at"),
            membership=query.one_of("membership", MEMBERSHIPS),
            not_membership=query.one_of("not_membership", MEMBERSHIPS),
        )
        return {"chunk": json_list(await self.read.events(request.requester, request.path["room_id"], asked))}

    @endpoint("GET", "/_matrix/client/v3/rooms/{room_id}/joined_members")
    async def joined_members(self, request: Request[None]) -> Response:
        return {"joined": await self.read.joined(request.requester, request.path["room_id"])}

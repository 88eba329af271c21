"""People brought into rooms and power given in them, at the addresses and in the form that Synapse's tools know."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from homeserver.http.endpoint import Auth, endpoint
from homeserver.http.request import Request
from homeserver.http.responses import Response
from homeserver.protocol.errors import InvalidParam
from homeserver.services.administration.room_power import RoomPower

V1 = "/_synapse/admin/v1"
MAX_VIA = 20
# As long as joining a room of another server takes.
JOIN_LIMIT_MS = 15 * 60_000


class JoinBody(msgspec.Struct):
    user_id: str


class MakeAdminBody(msgspec.Struct):
    user_id: str | None = None


@dataclass(frozen=True, slots=True)
class RoomPowerEndpoints:
    """All for administrators."""

    power: RoomPower

    @endpoint(
        "POST",
        f"{V1}/join/{{room}}",
        auth=Auth.ADMIN,
        body=JoinBody,
        limit="administration",
        time_limit_ms=JOIN_LIMIT_MS,
    )
    async def join(self, request: Request[JoinBody]) -> Response:
        via = [*request.query.strings("via"), *request.query.strings("server_name")]
        if len(via) > MAX_VIA:
            raise InvalidParam(f"At most {MAX_VIA} servers can be named")
        room_id = await self.power.join_user(request.requester, request.path["room"], request.body.user_id, via)
        return {"room_id": room_id}

    @endpoint(
        "POST", f"{V1}/rooms/{{room}}/make_room_admin", auth=Auth.ADMIN, body=MakeAdminBody, limit="administration"
    )
    async def make_admin(self, request: Request[MakeAdminBody]) -> Response:
        await self.power.make_admin(request.requester, request.path["room"], request.body.user_id)
        return {}

    @endpoint("GET", f"{V1}/rooms/{{room}}/forward_extremities", auth=Auth.ADMIN)
    async def extremities(self, request: Request[None]) -> Response:
        """There are no state groups here, and when an event was received is not kept."""
        found = await self.power.extremities(request.path["room"])
        results = [
            {
                "event_id": each.event_id,
                "state_group": None,
                "depth": each.depth,
                "received_ts": None,
                "origin_server_ts": each.time_ms,
            }
            for each in found
        ]
        return {"count": len(results), "results": results}

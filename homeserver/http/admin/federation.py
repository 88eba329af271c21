"""Other servers, at the addresses and in the form that Synapse's tools know."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from homeserver.http.admin.paging import paging_of
from homeserver.http.endpoint import Auth, endpoint
from homeserver.http.request import Request
from homeserver.http.responses import Response
from homeserver.services.administration.destinations import ORDERS, Destination, DestinationAdministration, tried_ms

DESTINATIONS = "/_synapse/admin/v1/federation/destinations"
DESTINATION = DESTINATIONS + "/{destination}"


@dataclass(frozen=True, slots=True)
class DestinationEndpoints:
    """All for administrators."""

    destinations: DestinationAdministration

    @endpoint("GET", DESTINATIONS, auth=Auth.ADMIN, limit="administration")
    async def page(self, request: Request[None]) -> Response:
        place, order = paging_of(request.query), request.query.one_of("order_by", ORDERS, "destination")
        found, total = await self.destinations.page(
            order, descending=place.descending, limit=place.limit, offset=place.offset
        )
        answer: dict[str, Any] = {"destinations": [_shown(each) for each in found], "total": total}
        following = place.offset + len(found)
        return answer | {"next_token": str(following)} if found and following < total else answer

    @endpoint("GET", DESTINATION, auth=Auth.ADMIN)
    async def get(self, request: Request[None]) -> Response:
        return _shown(await self.destinations.get(request.path["destination"]))

    @endpoint("GET", DESTINATION + "/rooms", auth=Auth.ADMIN)
    async def rooms(self, request: Request[None]) -> Response:
        """`stream_ordering`: up to there the server has everything, of all rooms."""
        place = paging_of(request.query)
        rooms, total, destination = await self.destinations.rooms(
            request.path["destination"], descending=place.descending, limit=place.limit, offset=place.offset
        )
        answer: dict[str, Any] = {
            "rooms": [{"room_id": room_id, "stream_ordering": destination.sent} for room_id in rooms],
            "total": total,
        }
        following = place.offset + len(rooms)
        return answer | {"next_token": str(following)} if rooms and following < total else answer

    @endpoint("POST", DESTINATION + "/reset_connection", auth=Auth.ADMIN, limit="administration")
    async def reset(self, request: Request[None]) -> Response:
        await self.destinations.reset(request.requester, request.path["destination"])
        return {}


def _shown(destination: Destination) -> dict[str, Any]:
    pause = destination.pause
    return {
        "destination": destination.server_name,
        "retry_last_ts": 0 if pause is None else tried_ms(pause),
        "retry_interval": 0 if pause is None else pause.pause_ms,
        "failure_ts": None if pause is None else pause.failing_since_ms,
        "last_successful_stream_ordering": destination.sent,
    }

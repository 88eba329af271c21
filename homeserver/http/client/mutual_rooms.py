"""Client-server API, "Mutual rooms", and its form before it was stable (MSC2666)."""

from __future__ import annotations

from dataclasses import dataclass

from homeserver.http.endpoint import endpoint
from homeserver.http.request import Request
from homeserver.http.responses import Response
from homeserver.services.mutual_rooms import MutualRooms

STABLE = "/_matrix/client/v1/mutual_rooms"
UNSTABLE = "/_matrix/client/unstable/uk.half-shot.msc2666/user/mutual_rooms"


@dataclass(frozen=True, slots=True)
class MutualRoomsEndpoints:
    """Two names for one answer: the unstable one calls its tokens otherwise."""

    mutual: MutualRooms

    @endpoint("GET", STABLE, limit="directory")
    async def rooms(self, request: Request[None]) -> Response:
        query = request.query
        page = await self.mutual(request.requester.user_id, query.required("user_id"), query.string("from"))
        answer = {"joined": list(page.rooms), "count": page.total}
        return answer if page.next_batch is None else {**answer, "next_batch": page.next_batch}

    @endpoint("GET", UNSTABLE, limit="directory")
    async def rooms_unstable(self, request: Request[None]) -> Response:
        query = request.query
        page = await self.mutual(request.requester.user_id, query.required("user_id"), query.string("batch_token"))
        answer = {"joined": list(page.rooms), "count": page.total}
        return answer if page.next_batch is None else {**answer, "next_batch_token": page.next_batch}

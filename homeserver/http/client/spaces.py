"""Client-server API, "Spaces"."""

from __future__ import annotations

from dataclasses import dataclass

from homeserver.http.endpoint import endpoint
from homeserver.http.request import Request
from homeserver.http.responses import Response
from homeserver.services.spaces.hierarchy import DEFAULT_LIMIT, HierarchyQuery, ReadHierarchy


@dataclass(frozen=True, slots=True)
class SpaceEndpoints:
    """One endpoint."""

    read: ReadHierarchy

    @endpoint("GET", "/_matrix/client/v1/rooms/{room_id}/hierarchy", limit="directory")
    async def hierarchy(self, request: Request[None]) -> Response:
        """What is in a space, depth first."""
        query = request.query
        wanted = HierarchyQuery(
            query.integer("limit", DEFAULT_LIMIT, minimum=1),
            query.integer("max_depth", minimum=0),
            query.boolean("suggested_only") if "suggested_only" in query else None,
            query.string("from"),
        )
        page = await self.read(request.requester, request.path["room_id"], wanted)
        rooms = [room.chunk(suggested_only=page.suggested_only) for room in page.rooms]
        return {"rooms": rooms} if page.next_batch is None else {"rooms": rooms, "next_batch": page.next_batch}

"""Server-server API, "Spaces"."""

from __future__ import annotations

from dataclasses import dataclass

from homeserver.http.endpoint import Auth, endpoint
from homeserver.http.request import Request
from homeserver.http.responses import Response
from homeserver.services.spaces.for_servers import HierarchyForServers


@dataclass(frozen=True, slots=True)
class FederationSpaceEndpoints:
    """One endpoint."""

    read: HierarchyForServers

    @endpoint("GET", "/_matrix/federation/v1/hierarchy/{room_id}", auth=Auth.SERVER, limit="federation")
    async def hierarchy(self, request: Request[None]) -> Response:
        """A space and one level of rooms in it, as far as the asking server could get in."""
        suggested_only = request.query.boolean("suggested_only")
        return await self.read(request.origin, request.path["room_id"], suggested_only=suggested_only)

"""Server-server API, "Published Room Directory"."""

from __future__ import annotations

from dataclasses import dataclass

from homeserver.http.client.room_directory import DirectoryFilter, SearchBody, page_json
from homeserver.http.endpoint import Auth, endpoint
from homeserver.http.request import Request
from homeserver.http.responses import Response
from homeserver.protocol.errors import Forbidden, InvalidParam
from homeserver.services.directory.search import DEFAULT_LIMIT, MAX_LIMIT, DirectoryQuery, SearchDirectory

PUBLIC_ROOMS = "/_matrix/federation/v1/publicRooms"


@dataclass(frozen=True, slots=True)
class FederatedPublicRoomEndpoints:
    """`is_public`: whether other servers may look at all."""

    search: SearchDirectory
    is_public: bool

    @endpoint("GET", PUBLIC_ROOMS, auth=Auth.SERVER, limit="directory")
    async def public_rooms(self, request: Request[None]) -> Response:
        query = request.query
        limit = query.integer("limit", DEFAULT_LIMIT, minimum=0, maximum=MAX_LIMIT)
        return await self._page(DirectoryQuery(limit or DEFAULT_LIMIT, query.string("since")))

    @endpoint("POST", PUBLIC_ROOMS, auth=Auth.SERVER, body=SearchBody, limit="directory")
    async def query_rooms(self, request: Request[SearchBody]) -> Response:
        body = request.body
        if body.limit is not None and body.limit < 0:
            raise InvalidParam("'limit' must not be negative")
        wanted = body.filter or DirectoryFilter()
        return await self._page(
            DirectoryQuery(body.limit or DEFAULT_LIMIT, body.since, wanted.generic_search_term, wanted.room_types)
        )

    async def _page(self, query: DirectoryQuery) -> Response:
        if not self.is_public:
            raise Forbidden("This server does not show its rooms to others")
        return page_json(await self.search(query))

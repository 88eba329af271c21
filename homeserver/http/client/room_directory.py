"""Client-server API, "Published room directory"."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import msgspec

from homeserver.http.endpoint import Auth, endpoint
from homeserver.http.request import Request
from homeserver.http.responses import Response
from homeserver.protocol.errors import InvalidParam
from homeserver.services.directory.networks import NetworkRooms
from homeserver.services.directory.publish import PublishRoom
from homeserver.services.directory.remote_rooms import RemotePublicRooms
from homeserver.services.directory.search import (
    DEFAULT_LIMIT,
    MAX_LIMIT,
    DirectoryPage,
    DirectoryQuery,
    SearchDirectory,
)

LISTED = "/_matrix/client/v3/directory/list/room/{room_id}"
NETWORK_LISTED = "/_matrix/client/v3/directory/list/appservice/{network_id}/{room_id}"
PUBLIC_ROOMS = "/_matrix/client/v3/publicRooms"


class VisibilityBody(msgspec.Struct):
    visibility: Literal["public", "private"] = "public"


class DirectoryFilter(msgspec.Struct):
    generic_search_term: str | None = None
    room_types: list[str | None] | None = None


class SearchBody(msgspec.Struct):
    limit: int | None = None
    since: str | None = None
    filter: DirectoryFilter | None = None
    include_all_networks: bool | None = None
    third_party_instance_id: str | None = None


@dataclass(frozen=True, slots=True)
class RoomDirectoryEndpoints:
    """Rooms that strangers may find."""

    search: SearchDirectory
    publish: PublishRoom
    server_name: str
    public_without_auth: bool
    elsewhere: RemotePublicRooms

    @endpoint("GET", LISTED, auth=Auth.NONE, limit="directory")
    async def get_visibility(self, request: Request[None]) -> Response:
        is_published = await self.publish.is_published(request.path["room_id"])
        return {"visibility": "public" if is_published else "private"}

    @endpoint("PUT", LISTED, suspended=False, body=VisibilityBody, limit="directory")
    async def set_visibility(self, request: Request[VisibilityBody]) -> Response:
        is_published = request.body.visibility == "public"
        await self.publish.set_published(request.requester, request.path["room_id"], is_published)
        return {}

    @endpoint("GET", PUBLIC_ROOMS, auth=Auth.OPTIONAL, guests=True, limit="directory")
    async def get_public_rooms(self, request: Request[None]) -> Response:
        if not self.public_without_auth:
            request.requester  # noqa: B018  (raises MissingToken)
        query = request.query
        limit = query.integer("limit", DEFAULT_LIMIT, minimum=0, maximum=MAX_LIMIT)
        return await self._page(request, DirectoryQuery(limit or DEFAULT_LIMIT, query.string("since")))

    @endpoint("POST", PUBLIC_ROOMS, guests=True, body=SearchBody, limit="directory")
    async def query_public_rooms(self, request: Request[SearchBody]) -> Response:
        body = request.body
        if body.limit is not None and body.limit < 0:
            raise InvalidParam("'limit' must not be negative")
        wanted = body.filter or DirectoryFilter()
        return await self._page(
            request,
            DirectoryQuery(
                body.limit or DEFAULT_LIMIT,
                body.since,
                wanted.generic_search_term,
                wanted.room_types,
                body.third_party_instance_id or None,
                bool(body.include_all_networks),
            ),
        )

    async def _page(self, request: Request[Any], query: DirectoryQuery) -> Response:
        server_name = request.query.string("server", self.server_name)
        if server_name != self.server_name:
            request.requester  # noqa: B018  (raises MissingToken: not everybody has us ask other servers)
            return await self.elsewhere.search(server_name, query)
        return page_json(await self.search(query))


@dataclass(frozen=True, slots=True)
class NetworkDirectoryEndpoints:
    """What application services list for their networks."""

    networks: NetworkRooms

    @endpoint("PUT", NETWORK_LISTED, body=VisibilityBody, limit="directory")
    async def set_visibility(self, request: Request[VisibilityBody]) -> Response:
        path, is_listed = request.path, request.body.visibility == "public"
        await self.networks.set_listed(request.requester, path["network_id"], path["room_id"], is_listed)
        return {}

    @endpoint("DELETE", NETWORK_LISTED, limit="directory")
    async def unlist(self, request: Request[None]) -> Response:
        """From before the specification: as "private"."""
        path = request.path
        await self.networks.set_listed(request.requester, path["network_id"], path["room_id"], False)
        return {}


def page_json(page: DirectoryPage) -> dict[str, Any]:
    """`PublishedRoomsResponse`."""
    answer: dict[str, Any] = {
        "chunk": [room.as_chunk() for room in page.rooms],
        "total_room_count_estimate": page.total,
    }
    if page.next_batch is not None:
        answer["next_batch"] = page.next_batch
    if page.prev_batch is not None:
        answer["prev_batch"] = page.prev_batch
    return answer

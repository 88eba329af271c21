"""Client-server API, "Room aliases"."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from homeserver.http.endpoint import Auth, endpoint
from homeserver.http.request import Request
from homeserver.http.responses import Response
from homeserver.services.directory.aliases import RoomAliases
from homeserver.services.directory.resolve import ResolveRoom

ALIAS = "/_matrix/client/v3/directory/room/{alias}"


class NewAliasBody(msgspec.Struct):
    room_id: str


@dataclass(frozen=True, slots=True)
class AliasEndpoints:
    """Names of rooms."""

    resolve: ResolveRoom
    aliases: RoomAliases

    @endpoint("GET", ALIAS, auth=Auth.NONE, limit="directory")
    async def get_room_id_by_alias(self, request: Request[None]) -> Response:
        found = await self.resolve.alias(request.path["alias"])
        return {"room_id": found.room_id, "servers": found.servers}

    @endpoint("PUT", ALIAS, suspended=False, body=NewAliasBody, limit="directory")
    async def set_room_alias(self, request: Request[NewAliasBody]) -> Response:
        await self.aliases.create(request.requester, request.path["alias"], request.body.room_id)
        return {}

    @endpoint("DELETE", ALIAS, suspended=False, limit="directory")
    async def delete_room_alias(self, request: Request[None]) -> Response:
        await self.aliases.delete(request.requester, request.path["alias"])
        return {}

    @endpoint("GET", "/_matrix/client/v3/rooms/{room_id}/aliases", limit="directory")
    async def get_local_aliases(self, request: Request[None]) -> Response:
        return {"aliases": await self.aliases.of_room(request.requester, request.path["room_id"])}

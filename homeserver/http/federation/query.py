"""Server-server API, "Querying for information": profiles and aliases of ours."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from homeserver.http.endpoint import Auth, endpoint
from homeserver.http.request import Request
from homeserver.http.responses import Response
from homeserver.protocol.errors import InvalidParam, NotFound
from homeserver.protocol.identifiers import parse_room_alias, parse_user_id
from homeserver.services.profiles.profiles import Profiles

QUERY = "/_matrix/federation/v1/query"

Residents = Callable[[str], Awaitable[tuple[str, list[str]]]]
"""From an alias of ours to the room and the servers that are in it, ours first. Raises NotFound."""


@dataclass(frozen=True, slots=True)
class QueryEndpoints:
    profiles: Profiles
    residents: Residents
    server_name: str

    @endpoint("GET", f"{QUERY}/profile", auth=Auth.SERVER, limit="federation")
    async def query_profile(self, request: Request[None]) -> Response:
        user_id = request.query.required("user_id")
        if parse_user_id(user_id).server_name != self.server_name:
            raise InvalidParam("That is no user of this server")
        key = request.query.string("field")
        return await (self.profiles.get(user_id) if key is None else self.profiles.get_field(user_id, key))

    @endpoint("GET", f"{QUERY}/directory", auth=Auth.SERVER, limit="federation")
    async def query_directory(self, request: Request[None]) -> Response:
        alias = request.query.required("room_alias")
        if parse_room_alias(alias).server_name != self.server_name:
            raise NotFound("That is no alias of this server")
        room_id, servers = await self.residents(alias)
        return {"room_id": room_id, "servers": servers}

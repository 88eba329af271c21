"""Server-server API, "Server implementation"."""

from __future__ import annotations

from dataclasses import dataclass

from homeserver.http.endpoint import Auth, endpoint
from homeserver.http.request import Request
from homeserver.http.responses import Response


@dataclass(frozen=True, slots=True)
class ServerVersionEndpoints:
    """`name` and `version` of this program."""

    name: str
    version: str

    @endpoint("GET", "/_matrix/federation/v1/version", auth=Auth.NONE)
    async def version_of_server(self, request: Request[None]) -> Response:
        return {"server": {"name": self.name, "version": self.version}}

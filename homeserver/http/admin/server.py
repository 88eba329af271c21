"""Which program this is, for tools that know Synapse."""

from __future__ import annotations

from dataclasses import dataclass

from homeserver.http.endpoint import Auth, endpoint
from homeserver.http.request import Request
from homeserver.http.responses import Response


@dataclass(frozen=True, slots=True)
class ServerEndpoints:
    """`software` and its version."""

    software: str
    version: str

    @endpoint("GET", "/_synapse/admin/v1/server_version", auth=Auth.NONE)
    async def server_version(self, request: Request[None]) -> Response:
        """Synapse tells everybody; tools ask before anybody has signed in. GET /_matrix/federation/v1/version says it too."""
        return {"server_version": f"{self.software} {self.version}"}

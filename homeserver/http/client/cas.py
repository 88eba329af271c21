"""Where a CAS server sends browsers back to, with their ticket. The address is that of r0, by which CAS servers know it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from homeserver.http.endpoint import Auth, endpoint
from homeserver.http.request import Request
from homeserver.http.responses import Response
from homeserver.http.web.providers import ProviderPages

TICKET: Final = "/_matrix/client/v3/login/cas/ticket"
TICKET_PATH: Final = "/_matrix/client/r0/login/cas/ticket"


@dataclass(frozen=True, slots=True)
class CasEndpoints:
    """The rest is as with any provider."""

    pages: ProviderPages
    provider_id: str

    @endpoint("GET", TICKET, auth=Auth.NONE, limit="login")
    async def come_back(self, request: Request[None]) -> Response:
        """The state is part of the address that the ticket is for."""
        query = request.query
        answer = {"state": query.string("state", ""), "ticket": query.string("ticket", "")}
        return await self.pages.finish(request, self.provider_id, answer)

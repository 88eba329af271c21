"""Discovery: what clients and servers find under /.well-known of the server name, and whether we are well at all."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from homeserver.http.endpoint import Auth, endpoint
from homeserver.http.request import Request
from homeserver.http.responses import Response
from homeserver.protocol import errors


@dataclass(frozen=True, slots=True)
class WellKnownEndpoints:
    """Client-server API "Well-known URIs", server-server API "Server discovery".

    `server` is "host:port" of the federation listener, where it is not simply `server_name:8448`.
    `client_extra` are further keys for clients, such as the foci of calls. `contacts` are as in the spec's
    `/.well-known/matrix/support`: role, matrix_id, email_address.
    """

    public_baseurl: str
    server: str | None = None
    contacts: Sequence[Mapping[str, str]] = ()
    support_page: str | None = None
    client_extra: Mapping[str, Any] = field(default_factory=dict)
    policy_server_key: str | None = None
    """Unpadded base64: what rooms know the policy server of this name by."""

    @endpoint("GET", "/.well-known/matrix/client", auth=Auth.NONE)
    async def client(self, request: Request[None]) -> Response:
        """Where clients find the homeserver of this domain."""
        return {"m.homeserver": {"base_url": self.public_baseurl.rstrip("/")}, **self.client_extra}

    @endpoint("GET", "/.well-known/matrix/server", auth=Auth.NONE)
    async def federation(self, request: Request[None]) -> Response:
        """Where other servers find the homeserver of this domain."""
        if self.server is None:
            raise errors.NotFound("This server is found without delegation")
        return {"m.server": self.server}

    @endpoint("GET", "/.well-known/matrix/support", auth=Auth.NONE)
    async def support(self, request: Request[None]) -> Response:
        """Whom to ask for help."""
        if not self.contacts and self.support_page is None:
            raise errors.NotFound("No contact has been configured")
        answer: dict[str, Any] = {}
        if self.contacts:
            answer["contacts"] = [dict(contact) for contact in self.contacts]
        if self.support_page is not None:
            answer["support_page"] = self.support_page
        return answer

    @endpoint("GET", "/.well-known/matrix/policy_server", auth=Auth.NONE)
    async def policy_server(self, request: Request[None]) -> Response:
        """What a room needs to have its events checked by the policy server of this domain."""
        if self.policy_server_key is None:
            raise errors.NotFound("There is no policy server here")
        return {"public_keys": {"ed25519": self.policy_server_key}}


@dataclass(frozen=True, slots=True)
class HealthEndpoints:
    """For load balancers and `docker healthcheck`: 200 when the database answers, 503 when it does not."""

    check: Callable[[], Awaitable[object]]
    """One cheap question to the database; raises Unavailable."""

    @endpoint("GET", "/health", auth=Auth.NONE, limit="none", time_limit_ms=5_000)
    async def health(self, request: Request[None]) -> Response:
        """Well, or an error."""
        await self.check()
        return {"status": "ok"}

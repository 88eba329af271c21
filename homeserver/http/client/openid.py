"""OpenID: the user asks for a token, another service asks whose it is. "OpenID" in both APIs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from homeserver.http.endpoint import Auth, endpoint
from homeserver.http.request import Request
from homeserver.http.responses import Response
from homeserver.protocol import errors
from homeserver.services.accounts.openid_tokens import OpenIdTokens


@dataclass(frozen=True, slots=True)
class OpenIdEndpoints:
    """Both ends of a token. The second is in the server-server API but is asked by anybody, without a signature."""

    tokens: OpenIdTokens
    server_name: str

    @endpoint(
        "POST", "/_matrix/client/v3/user/{user_id}/openid/request_token", guests=True, suspended=False,
        body=dict, empty_body=True, limit="openid")  # fmt: skip
    async def request_token(self, request: Request[dict[str, Any]]) -> Response:
        issued = await self.tokens.issue(request.requester, request.path["user_id"])
        return {
            "access_token": issued.token,
            "token_type": "Bearer",
            "matrix_server_name": self.server_name,
            "expires_in": issued.expires_in_ms // 1000,
        }

    @endpoint("GET", "/_matrix/federation/v1/openid/userinfo", auth=Auth.NONE)
    async def user_info(self, request: Request[None]) -> Response:
        token = request.query.string("access_token")
        if token is None:
            raise errors.MissingToken("The query parameter 'access_token' is missing")
        return {"sub": (await self.tokens.owner(token)).user_id}

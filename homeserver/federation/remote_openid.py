"""Whose OpenID token this is, asked of the server that is said to have issued it.

Source: server-server API, "OpenID".
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from homeserver.federation.client import Call, Limits, request_uri
from homeserver.federation.errors import RemoteRefused
from homeserver.protocol.errors import Unauthorized
from homeserver.protocol.identifiers import is_user_id

if TYPE_CHECKING:
    from homeserver.federation.client import FederationClient

USER_INFO: Final = "/_matrix/federation/v1/openid/userinfo"
MAX_TOKEN_CHARACTERS: Final = 1024
# Somebody waits to get into a call.
LIMITS: Final = Limits(timeout_ms=10_000, max_bytes=16 * 1024)
NOT_VOUCHED: Final = "The user's server does not know that token"


@dataclass(frozen=True, slots=True)
class FederatedOpenId:
    """`services.calls.visitors.RemoteOpenId`."""

    client: FederationClient

    async def owner(self, server_name: str, token: str) -> str:
        """The user id as that server says. Raises Unauthorized where it does not know; else as `FederationClient.call`."""
        if not 0 < len(token) <= MAX_TOKEN_CHARACTERS:
            raise Unauthorized(NOT_VOUCHED)
        uri = request_uri(USER_INFO, query={"access_token": token})
        try:
            # "This API does not require authentication", and the token alone must not tell who relies on it.
            answer = await self.client.call(server_name, Call("GET", uri, signed=False, limits=LIMITS))
        except RemoteRefused as error:
            if error.remote.status >= 500:
                raise
            raise Unauthorized(NOT_VOUCHED) from error
        user_id = answer.get("sub")
        if not isinstance(user_id, str) or not is_user_id(user_id):
            raise Unauthorized(NOT_VOUCHED)
        return user_id

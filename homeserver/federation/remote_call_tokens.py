"""Tokens for the SFU of another server, for a user of ours: MSC4195, "Acquiring LiveKit access tokens"."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from homeserver.federation.client import Limits
from homeserver.federation.errors import RemoteRefused
from homeserver.protocol.errors import BadGateway, Forbidden, InvalidParam, MatrixError

if TYPE_CHECKING:
    from homeserver.federation.client import FederationClient
    from homeserver.services.calls.remote_tokens import RemoteTokenRequest

STABLE: Final = "/_matrix/federation/v1/rtc/livekit/get_token"
UNSTABLE: Final = "/_matrix/federation/unstable/io.element.msc4195/rtc/livekit/get_token"
LIMITS: Final = Limits(timeout_ms=10_000, max_bytes=64 * 1024)
MAX_TOKEN_CHARACTERS: Final = 16 * 1024


@dataclass(frozen=True, slots=True)
class FederatedCallTokens:
    """`services.calls.remote_tokens.RemoteCallTokens`."""

    client: FederationClient

    async def token(self, server_name: str, request: RemoteTokenRequest) -> str:
        """The JWT. Raises Forbidden or InvalidParam where the other server says so, and BadGateway for all else:
        "HTTP 403 / M_FORBIDDEN and HTTP 400 / M_INVALID_PARAM errors from the remote server MUST be relayed …
        Any other error MUST result in HTTP 502 / M_UNKNOWN".
        """
        try:
            answer = await self._ask(server_name, request.body)
        except RemoteRefused as error:
            raise _relayed(error.remote) from error
        except MatrixError as error:
            raise BadGateway("The other server could not be asked for a token") from error
        jwt = answer.get("jwt")
        if not isinstance(jwt, str) or not 0 < len(jwt) <= MAX_TOKEN_CHARACTERS:
            raise BadGateway("The other server answered without a token")
        return jwt

    async def _ask(self, server_name: str, body: dict[str, Any]) -> dict[str, Any]:
        """Servers of today have it under the unstable name only."""
        try:
            return await self.client.post(server_name, STABLE, body, limits=LIMITS)
        except RemoteRefused as error:
            if error.remote.status != 404:
                raise
        return await self.client.post(server_name, UNSTABLE, body, limits=LIMITS)


def _relayed(remote: MatrixError) -> MatrixError:
    """In our own words: "upstream HTTP responses … MUST NOT be exposed to clients"."""
    if (remote.status, remote.errcode) == (403, "M_FORBIDDEN"):
        return Forbidden("The other server does not let you into that call")
    if (remote.status, remote.errcode) == (400, "M_INVALID_PARAM"):
        return InvalidParam("The other server does not know that SFU, or that call")
    return BadGateway("The other server gave no token")

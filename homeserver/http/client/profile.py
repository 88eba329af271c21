"""Profiles. Client-server API, "Profiles"."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from homeserver.http.endpoint import Auth, endpoint
from homeserver.http.request import Request
from homeserver.http.responses import Response
from homeserver.protocol.identifiers import parse_user_id
from homeserver.services.profiles.profiles import Profiles
from homeserver.services.rate_limits import AnyRateLimiter

PROFILE = "/_matrix/client/v3/profile/{user_id}"
FIELD = PROFILE + "/{key}"
# A little more than a whole profile may have.
MAX_BODY_BYTES = 128 * 1024


@dataclass(frozen=True, slots=True)
class ProfileEndpoints:
    """Anybody may look; people change their own."""

    profiles: Profiles
    limiter: AnyRateLimiter

    def _count(self, request: Request[None]) -> None:
        """Strangers have us ask other servers only now and then. Raises LimitExceeded, InvalidParam."""
        is_elsewhere = parse_user_id(request.path["user_id"]).server_name != self.profiles.server_name
        if is_elsewhere and request.optional_requester is None:
            self.limiter.check("stranger_asks", None, request.remote_address)

    @endpoint("GET", PROFILE, auth=Auth.OPTIONAL, guests=True)
    async def profile(self, request: Request[None]) -> Response:
        self._count(request)
        return await self.profiles.get(request.path["user_id"])

    @endpoint("GET", FIELD, auth=Auth.OPTIONAL, guests=True)
    async def field(self, request: Request[None]) -> Response:
        self._count(request)
        return await self.profiles.get_field(request.path["user_id"], request.path["key"])

    @endpoint("PUT", FIELD, guests=True, suspended=False, body=dict, limit="profile", max_body_bytes=MAX_BODY_BYTES)
    async def set_field(self, request: Request[dict[str, Any]]) -> Response:
        path = request.path
        await self.profiles.set_field(request.requester, path["user_id"], path["key"], request.body)
        return {}

    @endpoint("DELETE", FIELD, guests=True, suspended=False, limit="profile")
    async def delete_field(self, request: Request[None]) -> Response:
        await self.profiles.delete_field(request.requester, request.path["user_id"], request.path["key"])
        return {}

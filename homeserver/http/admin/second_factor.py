"""Second factors of others, for administrators."""

from __future__ import annotations

from dataclasses import dataclass

from homeserver.http.endpoint import Auth, endpoint
from homeserver.http.request import Request
from homeserver.http.responses import Response
from homeserver.services.second_factor.second_factor import SecondFactor

PATH = "/_voicechat/admin/v1/users/{user_id}/second_factor"


@dataclass(frozen=True, slots=True)
class SecondFactorAdminEndpoints:
    """All for administrators."""

    factor: SecondFactor

    @endpoint("GET", PATH, auth=Auth.ADMIN)
    async def status(self, request: Request[None]) -> Response:
        found = await self.factor.status(request.path["user_id"])
        return {
            "enabled": found.enrolled_ms is not None,
            "recovery_codes_left": found.recovery_codes,
            "required": found.is_required,
        }

    @endpoint("DELETE", PATH, auth=Auth.ADMIN, limit="administration")
    async def reset(self, request: Request[None]) -> Response:
        """For who has lost his app and his recovery codes. That it is he who asks, the administrator has made sure of."""
        await self.factor.reset(request.requester, request.path["user_id"])
        return {}

"""Registration tokens, at the addresses and in the form that Synapse's tools know."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec

from homeserver.http.endpoint import Auth, endpoint
from homeserver.http.request import Request
from homeserver.http.responses import Response
from homeserver.services.registration.tokens import TokenAdministration
from homeserver.storage.registration_tokens import RegistrationToken

PATH = "/_synapse/admin/v1/registration_tokens"


class NewTokenBody(msgspec.Struct):
    token: str | None = None
    length: int | None = None
    uses_allowed: int | None = None
    expiry_time: int | None = None


class ChangeBody(msgspec.Struct):
    uses_allowed: int | msgspec.UnsetType | None = msgspec.UNSET
    expiry_time: int | msgspec.UnsetType | None = msgspec.UNSET


@dataclass(frozen=True, slots=True)
class RegistrationTokenEndpoints:
    """For administrators only."""

    administration: TokenAdministration

    @endpoint("GET", PATH, auth=Auth.ADMIN)
    async def all(self, request: Request[None]) -> Response:
        """`?valid=true` or `false` for some of them only."""
        valid = request.query.boolean("valid") if "valid" in request.query else None
        return {"registration_tokens": [_shown(token) for token in await self.administration.all(valid)]}

    @endpoint("POST", f"{PATH}/new", auth=Auth.ADMIN, body=NewTokenBody, limit="administration")
    async def make(self, request: Request[NewTokenBody]) -> Response:
        body = request.body
        return _shown(
            await self.administration.make(
                request.requester, body.token, body.length, body.uses_allowed, body.expiry_time
            )
        )

    @endpoint("GET", f"{PATH}/{{token}}", auth=Auth.ADMIN)
    async def get(self, request: Request[None]) -> Response:
        return _shown(await self.administration.get(request.path["token"]))

    @endpoint("PUT", f"{PATH}/{{token}}", auth=Auth.ADMIN, body=ChangeBody, limit="administration")
    async def change(self, request: Request[ChangeBody]) -> Response:
        """What is left out stays; `null` takes a limit away."""
        changes: dict[str, int | None] = {}
        if not isinstance(request.body.uses_allowed, msgspec.UnsetType):
            changes["uses_allowed"] = request.body.uses_allowed
        if not isinstance(request.body.expiry_time, msgspec.UnsetType):
            changes["expires_ms"] = request.body.expiry_time
        return _shown(await self.administration.change(request.requester, request.path["token"], changes))

    @endpoint("DELETE", f"{PATH}/{{token}}", auth=Auth.ADMIN, limit="administration")
    async def delete(self, request: Request[None]) -> Response:
        """Accounts that were made with it stay."""
        await self.administration.delete(request.requester, request.path["token"])
        return {}


def _shown(token: RegistrationToken) -> dict[str, Any]:
    return {
        "token": token.token,
        "uses_allowed": token.uses_allowed,
        "pending": token.pending,
        "completed": token.completed,
        "expiry_time": token.expires_ms,
    }

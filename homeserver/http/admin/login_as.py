"""Acting as somebody else, at the address and in the form that Synapse's tools know."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from homeserver.http.endpoint import Auth, endpoint
from homeserver.http.request import Request
from homeserver.http.responses import Response
from homeserver.services.administration.accounts import AccountAdministration
from homeserver.services.sessions.borrowed import BorrowedSessions


class LoginBody(msgspec.Struct):
    valid_until_ms: int | None = None


@dataclass(frozen=True, slots=True)
class LoginAsEndpoints:
    """For administrators."""

    accounts: AccountAdministration
    borrowed: BorrowedSessions

    @endpoint(
        "POST", "/_synapse/admin/v1/users/{user_id}/login", auth=Auth.ADMIN, body=LoginBody, limit="administration"
    )
    async def log_in(self, request: Request[LoginBody]) -> Response:
        user_id = self.accounts.local(request.path["user_id"])
        return {"access_token": await self.borrowed.begin(request.requester, user_id, request.body.valid_until_ms)}

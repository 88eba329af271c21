"""One's own account. Client-server API, "Account management" and "Current account information"."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec

from homeserver.http.endpoint import endpoint
from homeserver.http.request import Request
from homeserver.http.responses import Response
from homeserver.services.accounts.account import Accounts
from homeserver.services.ui_auth.ui_auth import UiAuth
from homeserver.storage.users import Threepid

ACCOUNT = "/_matrix/client/v3/account"


class PasswordBody(msgspec.Struct):
    new_password: str
    logout_devices: bool = True
    auth: dict[str, Any] | None = None


class DeactivateBody(msgspec.Struct):
    auth: dict[str, Any] | None = None
    erase: bool = False


@dataclass(frozen=True, slots=True)
class AccountEndpoints:
    """What cannot be undone needs the password once more."""

    accounts: Accounts
    ui_auth: UiAuth

    @endpoint("GET", ACCOUNT + "/whoami", guests=True)
    async def whoami(self, request: Request[None]) -> Response:
        requester = request.requester
        answer: dict[str, Any] = {"user_id": requester.user_id, "is_guest": requester.is_guest}
        if requester.device_id is not None:
            answer["device_id"] = requester.device_id
        return answer

    @endpoint("POST", ACCOUNT + "/password", body=PasswordBody, limit="password")
    async def change_password(self, request: Request[PasswordBody]) -> Response:
        body = request.body
        self.accounts.check_new_password(body.new_password)
        await self.ui_auth.check(body.auth, request.requester, "POST /account/password", ip=request.remote_address)
        await self.accounts.change_password(request.requester, body.new_password, logout_devices=body.logout_devices)
        return {}

    @endpoint("POST", ACCOUNT + "/deactivate", body=DeactivateBody, limit="password")
    async def deactivate(self, request: Request[DeactivateBody]) -> Response:
        body, requester = request.body, request.requester
        await self.ui_auth.check(body.auth, requester, "POST /account/deactivate", ip=request.remote_address)
        await self.accounts.deactivate(requester.user_id, erase=body.erase)
        # "This must be `success` if the homeserver has no identifiers to unbind": this one never binds any.
        return {"id_server_unbind_result": "success"}

    @endpoint("GET", ACCOUNT + "/3pid")
    async def threepids(self, request: Request[None]) -> Response:
        found = await self.accounts.threepids(request.requester.user_id)
        return {"threepids": [_threepid(threepid) for threepid in found]}


def _threepid(threepid: Threepid) -> dict[str, Any]:
    return {
        "medium": threepid.medium,
        "address": threepid.address,
        "validated_at": threepid.validated_ms,
        "added_at": threepid.added_ms,
    }

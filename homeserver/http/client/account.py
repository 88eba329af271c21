"""One's own account. Client-server API, "Account management" and "Current account information"."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec

from homeserver.http.client.threepids import unbind_result
from homeserver.http.endpoint import Auth, endpoint
from homeserver.http.request import Request
from homeserver.http.responses import Response
from homeserver.protocol import errors
from homeserver.services.accounts.account import Accounts
from homeserver.services.identity_servers.bindings import Bindings
from homeserver.services.threepids.password_reset import ResetPassword
from homeserver.services.threepids.stage import EMAIL_IDENTITY
from homeserver.services.ui_auth.ui_auth import Flows, UiAuth

ACCOUNT = "/_matrix/client/v3/account"
PASSWORD_OPERATION = "POST /account/password"
# Who is not signed in has forgotten his password.
RESET_FLOWS: Flows = ((EMAIL_IDENTITY,),)


class PasswordBody(msgspec.Struct):
    new_password: str
    logout_devices: bool = True
    auth: dict[str, Any] | None = None


class DeactivateBody(msgspec.Struct):
    auth: dict[str, Any] | None = None
    id_server: str | None = None
    erase: bool = False


@dataclass(frozen=True, slots=True)
class AccountEndpoints:
    """What cannot be undone needs the password once more."""

    accounts: Accounts
    ui_auth: UiAuth
    bindings: Bindings
    reset: ResetPassword | None
    """None where nobody can prove that an address is his: no mail is sent."""

    @endpoint("GET", ACCOUNT + "/whoami", guests=True)
    async def whoami(self, request: Request[None]) -> Response:
        requester = request.requester
        answer: dict[str, Any] = {"user_id": requester.user_id, "is_guest": requester.is_guest}
        if requester.device_id is not None:
            answer["device_id"] = requester.device_id
        return answer

    @endpoint("POST", ACCOUNT + "/password", auth=Auth.OPTIONAL, body=PasswordBody, limit="password")
    async def change_password(self, request: Request[PasswordBody]) -> Response:
        body = request.body
        if request.optional_requester is None and self.reset is not None:
            return await self._reset_password(body, self.reset, request.remote_address)
        requester = request.requester
        if requester.is_guest:
            raise errors.GuestAccessForbidden("Guests have no password")
        await self.accounts.check_new_password(body.new_password, requester.user_id)
        await self.ui_auth.check(body.auth, requester, PASSWORD_OPERATION, ip=request.remote_address)
        await self.accounts.change_password(requester, body.new_password, logout_devices=body.logout_devices)
        return {}

    async def _reset_password(self, body: PasswordBody, reset: ResetPassword, ip: str) -> Response:
        await self.accounts.check_new_password(body.new_password)
        proved = await self.ui_auth.check(body.auth, None, PASSWORD_OPERATION, RESET_FLOWS, ip=ip)
        await reset(proved.completed[EMAIL_IDENTITY], body.new_password, logout_devices=body.logout_devices)
        return {}

    @endpoint("POST", ACCOUNT + "/deactivate", body=DeactivateBody, limit="password")
    async def deactivate(self, request: Request[DeactivateBody]) -> Response:
        body, requester = request.body, request.requester
        # An application service has no password to prove itself with, and may do what it likes with its users.
        if requester.appservice_id is None:
            await self.ui_auth.check(body.auth, requester, "POST /account/deactivate", ip=request.remote_address)
        # Before the addresses are forgotten.
        is_unbound = await self.bindings.unbind_all(requester.user_id, body.id_server)
        await self.accounts.deactivate(requester.user_id, erase=body.erase)
        return unbind_result(is_unbound)

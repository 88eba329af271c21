"""Login, logout, refresh. Client-server API, "Login" and "Refreshing access tokens"."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec

from homeserver.http.client.session_answer import session_answer
from homeserver.http.endpoint import Auth, endpoint
from homeserver.http.request import Request
from homeserver.http.responses import Response
from homeserver.protocol import errors
from homeserver.services.accounts.credentials import identifier_of
from homeserver.services.accounts.login import Login
from homeserver.services.accounts.login_tokens import LoginTokens
from homeserver.services.appservices.accounts import LOGIN_TYPE, BridgedAccounts
from homeserver.services.devices import Devices
from homeserver.services.second_factor.stage import code_of_login
from homeserver.services.sessions.borrowed import BorrowedSessions
from homeserver.services.sessions.sessions import OpenedSession, Sessions, SessionWish
from homeserver.services.ui_auth.ui_auth import UiAuth

LOGIN = "/_matrix/client/v3/login"


class LoginBody(msgspec.Struct):
    type: str
    identifier: dict[str, Any] | None = None
    user: str | None = None
    medium: str | None = None
    address: str | None = None
    password: str | None = None
    token: str | None = None
    device_id: str | None = None
    initial_device_display_name: str | None = None
    refresh_token: bool | None = None
    auth: dict[str, Any] | None = None
    """A second factor, as in user-interactive authentication: {"type": "org.voicechat.totp", "code": "123456"}."""


class RefreshBody(msgspec.Struct):
    refresh_token: str


class GetTokenBody(msgspec.Struct):
    auth: dict[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class LoginEndpoints:
    """How sessions begin, go on and end."""

    login: Login
    tokens: LoginTokens
    sessions: Sessions
    devices: Devices
    ui_auth: UiAuth
    bridged: BridgedAccounts
    borrowed: BorrowedSessions

    @endpoint("GET", LOGIN, auth=Auth.NONE)
    async def flows(self, request: Request[None]) -> Response:
        return {"flows": self.login.flows}

    @endpoint("POST", LOGIN, auth=Auth.NONE, body=LoginBody, limit="login")
    async def log_in(self, request: Request[LoginBody]) -> Response:
        body, wish = request.body, _wish(request)
        if body.type == LOGIN_TYPE:
            user = _user_of(body)
            return session_answer(await self.bridged.log_in(request.access_token, user, wish))
        return session_answer(await self._log_in(body, wish))

    async def _log_in(self, body: LoginBody, wish: SessionWish) -> OpenedSession:
        match body.type:
            case "m.login.password":
                identifier = identifier_of(msgspec.structs.asdict(body))
                code = code_of_login(body.auth)
                return await self.login.with_password(identifier, _required("password", body.password), wish, code)
            case "m.login.token":
                return await self.login.with_token(_required("token", body.token), wish)
        raise errors.Unknown("This type of login is not known here")

    @endpoint("POST", "/_matrix/client/v1/login/get_token", body=GetTokenBody, limit="login_token")
    async def get_token(self, request: Request[GetTokenBody]) -> Response:
        """ "Servers MUST always re-prompt the user for verification": every session of authentication does."""
        await self.ui_auth.check(
            request.body.auth, request.requester, "POST /login/get_token", ip=request.remote_address
        )
        issued = await self.tokens.issue(request.requester)
        return {"login_token": issued.token, "expires_in_ms": issued.expires_in_ms}

    @endpoint("POST", "/_matrix/client/v3/refresh", auth=Auth.NONE, body=RefreshBody, limit="refresh")
    async def refresh(self, request: Request[RefreshBody]) -> Response:
        refreshed = await self.sessions.refresh(request.body.refresh_token)
        return {
            "access_token": refreshed.access_token,
            "refresh_token": refreshed.refresh_token,
            "expires_in_ms": refreshed.expires_in_ms,
        }

    @endpoint("POST", "/_matrix/client/v3/logout", guests=True, locked=True, limit="session")
    async def log_out(self, request: Request[None]) -> Response:
        requester = request.requester
        if requester.impersonator is not None and request.access_token is not None:
            await self.borrowed.end(requester, request.access_token)
        else:
            await self.devices.log_out(requester)
        return {}

    @endpoint("POST", "/_matrix/client/v3/logout/all", guests=True, locked=True, limit="session")
    async def log_out_everywhere(self, request: Request[None]) -> Response:
        """Of an administrator also where he acts as somebody else."""
        await self.devices.log_out_everywhere(request.requester)
        if request.requester.is_admin:
            await self.borrowed.end_of_admin(request.requester.user_id)
        return {}


def _wish(request: Request[LoginBody]) -> SessionWish:
    body = request.body
    return SessionWish(
        device_id=body.device_id,
        device_name=body.initial_device_display_name,
        can_refresh=bool(body.refresh_token),
        ip=request.remote_address,
        user_agent=request.user_agent,
    )


def _user_of(body: LoginBody) -> str | None:
    """The old form of it has `user` beside the type."""
    user = body.user if body.identifier is None else body.identifier.get("user")
    return user if isinstance(user, str) else None


def _required(name: str, value: str | None) -> str:
    if value is None:
        raise errors.MissingParam(f"Missing '{name}'")
    return value

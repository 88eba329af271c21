"""POST /register and what belongs to it. Client-server API, "Account registration and management"."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec

from homeserver.http.client.session_answer import registered_answer
from homeserver.http.endpoint import Auth, endpoint
from homeserver.http.request import Request
from homeserver.http.responses import Response
from homeserver.services.appservices.accounts import LOGIN_TYPE, BridgedAccounts
from homeserver.services.registration.form import RegistrationForm
from homeserver.services.registration.registration import Registration
from homeserver.services.ui_auth.stages import RegistrationTokenStage


class RegisterBody(msgspec.Struct):
    type: str | None = None
    auth: dict[str, Any] | None = None
    username: str | None = None
    password: str | None = None
    device_id: str | None = None
    initial_device_display_name: str | None = None
    inhibit_login: bool | None = None
    refresh_token: bool | None = None
    guest_access_token: str | None = None
    user: str | None = None
    """What application services of before the specification call `username`."""


@dataclass(frozen=True, slots=True)
class RegistrationEndpoints:
    """Nobody needs a token here."""

    registration: Registration
    registration_tokens: RegistrationTokenStage
    bridged: BridgedAccounts

    @endpoint("POST", "/_matrix/client/v3/register", auth=Auth.NONE, body=RegisterBody, limit="registration")
    async def register(self, request: Request[RegisterBody]) -> Response:
        body = request.body
        seen = {"ip": request.remote_address, "user_agent": request.user_agent}
        if body.type == LOGIN_TYPE:
            return await self._register_bridged(request)
        if request.query.one_of("kind", ("user", "guest"), "user") == "guest":
            return registered_answer(await self.registration.register_guest(body.initial_device_display_name, **seen))
        return registered_answer(await self.registration.register(_form(body), body.auth, **seen))

    async def _register_bridged(self, request: Request[RegisterBody]) -> Response:
        body, form = request.body, _form(request.body)
        wish = form.session_wish(request.remote_address, request.user_agent)
        inhibit_login = bool(body.inhibit_login)
        return registered_answer(
            await self.bridged.register(
                request.access_token, body.username or body.user, wish, inhibit_login=inhibit_login
            )
        )

    @endpoint("GET", "/_matrix/client/v3/register/available", auth=Auth.NONE, limit="registration")
    async def available(self, request: Request[None]) -> Response:
        await self.registration.check_available(request.query.required("username"))
        return {"available": True}

    @endpoint(
        "GET",
        "/_matrix/client/v1/register/m.login.registration_token/validity",
        auth=Auth.NONE,
        limit="registration",
    )
    async def token_validity(self, request: Request[None]) -> Response:
        self.registration.check_enabled()
        return {"valid": await self.registration_tokens.is_usable(request.query.required("token"))}


def _form(body: RegisterBody) -> RegistrationForm:
    return RegistrationForm(
        username=body.username,
        password=body.password,
        guest_access_token=body.guest_access_token,
        device_id=body.device_id,
        device_name=body.initial_device_display_name,
        can_refresh=body.refresh_token,
        inhibit_login=body.inhibit_login,
    )

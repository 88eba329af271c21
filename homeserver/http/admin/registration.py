"""Registration with the shared secret, at the address and in the form that Synapse's tools know."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from homeserver.http.client.session_answer import registered_answer
from homeserver.http.endpoint import Auth, endpoint
from homeserver.http.request import Request
from homeserver.http.responses import Response
from homeserver.services.registration.shared_secret import SharedSecretRegistration, SignedRequest

PATH = "/_synapse/admin/v1/register"


class RegisterBody(msgspec.Struct):
    nonce: str
    username: str
    password: str
    mac: str
    admin: bool = False
    user_type: str | None = None
    inhibit_login: bool = False


@dataclass(frozen=True, slots=True)
class SharedSecretEndpoints:
    """Nobody is signed in here: the signature is the proof."""

    registration: SharedSecretRegistration

    @endpoint("GET", PATH, auth=Auth.NONE, limit="registration")
    async def nonce(self, request: Request[None]) -> Response:
        return {"nonce": self.registration.new_nonce()}

    @endpoint("POST", PATH, auth=Auth.NONE, body=RegisterBody, limit="registration")
    async def register(self, request: Request[RegisterBody]) -> Response:
        signed = SignedRequest(**msgspec.structs.asdict(request.body))
        registered = await self.registration.register(signed, ip=request.remote_address, user_agent=request.user_agent)
        return registered_answer(registered)

"""What OAuth clients ask themselves: metadata, registration, tokens. Client-server API, "OAuth 2.0 API"."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl

from homeserver.http.endpoint import Auth, endpoint
from homeserver.http.request import Request
from homeserver.http.responses import Json, Response
from homeserver.protocol.oauth.client_metadata import AUTHORIZATION_CODE, DEVICE_CODE, REFRESH_TOKEN
from homeserver.protocol.oauth.errors import INVALID_REQUEST, UNSUPPORTED_GRANT_TYPE, OAuthError
from homeserver.services.oauth.clients import OAuthClients
from homeserver.services.oauth.device_grants import INTERVAL_MS, LIFETIME_MS, DeviceGrants
from homeserver.services.oauth.metadata import DEVICE, LINK, REGISTER, REVOKE, TOKEN
from homeserver.services.oauth.tokens import IssuedTokens, OAuthTokens, Origin

MAX_FORM_BYTES = 16 * 1024
MAX_FORM_FIELDS = 20
MAX_METADATA_BYTES = 64 * 1024
# RFC 6749, 5.1.
NO_STORE = {"Cache-Control": "no-store", "Pragma": "no-cache"}
UNSTABLE = "/_matrix/client/unstable/org.matrix.msc2965"


@dataclass(frozen=True, slots=True)
class AuthMetadataEndpoints:
    """Where everything is."""

    metadata: Mapping[str, Any]

    @endpoint("GET", "/_matrix/client/v1/auth_metadata", f"{UNSTABLE}/auth_metadata", auth=Auth.NONE)
    async def show(self, request: Request[None]) -> Response:
        return dict(self.metadata)

    @endpoint("GET", "/.well-known/oauth-authorization-server", "/.well-known/openid-configuration", auth=Auth.NONE)
    async def well_known(self, request: Request[None]) -> Response:
        """RFC 8414, 3; the other is where clients looked that know `auth_issuer`."""
        return dict(self.metadata)

    @endpoint("GET", f"{UNSTABLE}/auth_issuer", auth=Auth.NONE)
    async def issuer(self, request: Request[None]) -> Response:
        return {"issuer": self.metadata["issuer"]}


@dataclass(frozen=True, slots=True)
class OAuthEndpoints:
    """All clients are public ones: what they know is the code, its verifier, or the token."""

    clients: OAuthClients
    device_grants: DeviceGrants
    tokens: OAuthTokens
    public_baseurl: str

    @endpoint("POST", REGISTER, auth=Auth.NONE, body=dict, limit="oauth_begin", max_body_bytes=MAX_METADATA_BYTES)
    async def register(self, request: Request[dict[str, Any]]) -> Response:
        metadata = await self.clients.register(request.body)
        return Json(201, {"client_id": metadata.client_id, **metadata.as_json()}, NO_STORE)

    @endpoint("POST", DEVICE, auth=Auth.NONE, limit="oauth_begin", max_body_bytes=MAX_FORM_BYTES)
    async def begin_device_grant(self, request: Request[None]) -> Response:
        form = await read_oauth_form(request)
        client = await self.clients.use(_required(form, "client_id"))
        begun = await self.device_grants.begin(client, form.get("scope", ""))
        link = self.public_baseurl.rstrip("/") + LINK
        answer = {
            "device_code": begun.device_code,
            "user_code": begun.user_code,
            "verification_uri": link,
            "verification_uri_complete": f"{link}?user_code={begun.user_code}",
            "expires_in": LIFETIME_MS // 1000,
            "interval": INTERVAL_MS // 1000,
        }
        return Json(200, answer, NO_STORE)

    @endpoint("POST", TOKEN, auth=Auth.NONE, limit="oauth_token", max_body_bytes=MAX_FORM_BYTES)
    async def token(self, request: Request[None]) -> Response:
        form = await read_oauth_form(request)
        issued = await self._issue(form, Origin(request.remote_address, request.user_agent))
        answer = {
            "access_token": issued.access_token,
            "token_type": "Bearer",
            "expires_in": issued.expires_in_ms // 1000,
            "refresh_token": issued.refresh_token,
            "scope": issued.scope,
        }
        return Json(200, answer, NO_STORE)

    async def _issue(self, form: Mapping[str, str], origin: Origin) -> IssuedTokens:
        grant_type, client_id = _required(form, "grant_type"), _required(form, "client_id")
        match grant_type:
            case "refresh_token":
                return await self.tokens.refresh(client_id, _required(form, REFRESH_TOKEN), origin)
            case "authorization_code":
                client = await self.clients.get(client_id)
                code, redirect_uri = _required(form, "code"), _required(form, "redirect_uri")
                return await self.tokens.with_code(client, code, redirect_uri, _required(form, "code_verifier"), origin)
            case _ if grant_type == DEVICE_CODE:
                client = await self.clients.get(client_id)
                return await self.tokens.with_device_code(client, _required(form, "device_code"), origin)
        raise OAuthError(
            UNSUPPORTED_GRANT_TYPE, f"'grant_type' is {AUTHORIZATION_CODE}, {REFRESH_TOKEN} or {DEVICE_CODE}"
        )

    @endpoint("POST", REVOKE, auth=Auth.NONE, limit="oauth_token", max_body_bytes=MAX_FORM_BYTES)
    async def revoke(self, request: Request[None]) -> Response:
        """ "If the client_id ... does not match the client associated with the token, the server SHOULD still revoke." """
        form = await read_oauth_form(request)
        await self.tokens.revoke(_required(form, "token"), Origin(request.remote_address, request.user_agent))
        return Json(200, {}, NO_STORE)


async def read_oauth_form(request: Request[None]) -> dict[str, str]:
    """ "Parameters MUST NOT be included more than once" (RFC 6749, 3.2). Raises OAuthError."""
    body = b"".join([chunk async for chunk in request.stream()])
    try:
        pairs = parse_qsl(body.decode("ascii"), max_num_fields=MAX_FORM_FIELDS, errors="strict")
    except ValueError:
        raise OAuthError(INVALID_REQUEST, "The body is not application/x-www-form-urlencoded") from None
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise OAuthError(INVALID_REQUEST, "A parameter is there more than once")
    if any("\0" in value for value in fields.values()):
        raise OAuthError(INVALID_REQUEST, "A parameter contains a NUL character")
    return fields


def _required(form: Mapping[str, str], name: str) -> str:
    value = form.get(name)
    if not value:
        raise OAuthError(INVALID_REQUEST, f"Missing '{name}'")
    return value

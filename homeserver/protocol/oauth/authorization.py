"""Authorization requests and what is answered to them (RFC 6749, 4.1; RFC 9207)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final
from urllib.parse import urlencode

from homeserver.protocol.oauth import pkce
from homeserver.protocol.oauth.client_metadata import AUTHORIZATION_CODE, ClientMetadata
from homeserver.protocol.oauth.errors import (
    INTERACTION_REQUIRED,
    INVALID_REQUEST,
    UNAUTHORIZED_CLIENT,
    UNSUPPORTED_RESPONSE_TYPE,
    OAuthError,
)
from homeserver.protocol.oauth.scopes import parse_scope

RESPONSE_MODES: Final = ("query", "fragment")
MAX_STATE_CHARACTERS: Final = 4096


@dataclass(frozen=True, slots=True)
class ReturnAddress:
    """Where the answer goes, whatever it is."""

    redirect_uri: str
    response_mode: str
    state: str | None

    def with_answer(self, answer: Mapping[str, str], issuer: str) -> str:
        """The address to which the browser is sent."""
        state = {} if self.state is None else {"state": self.state}
        # RFC 9207: with several servers, the client can tell whose answer it is.
        text = urlencode({**answer, **state, "iss": issuer})
        if self.response_mode == "fragment":
            return f"{self.redirect_uri}#{text}"
        return f"{self.redirect_uri}{'&' if '?' in self.redirect_uri else '?'}{text}"


@dataclass(frozen=True, slots=True)
class AuthorizationRequest:
    """One that is in order."""

    client_id: str
    redirect_uri: str
    response_mode: str
    state: str | None
    scope: str
    device_id: str
    code_challenge: str
    wants_account: bool = False
    """ "Clients can signal to the server that the user desires to register" (`prompt=create`)."""
    wants_sign_in: bool = False
    """Who is signed in already has to say again who he is (`prompt=login`)."""

    @property
    def return_address(self) -> ReturnAddress:
        return ReturnAddress(self.redirect_uri, self.response_mode, self.state)

    def as_json(self) -> dict[str, Any]:
        """To be remembered."""
        return asdict(self)


def return_address(given: Mapping[str, str], client: ClientMetadata) -> ReturnAddress:
    """Where the answer goes. Raises OAuthError, which is told to the user: the browser may be sent nowhere."""
    redirect_uri = given.get("redirect_uri", "")
    if not client.redirects_to(redirect_uri):
        raise OAuthError(INVALID_REQUEST, "This application did not say that it would send people back to that address")
    mode = given.get("response_mode", "query")
    if mode not in RESPONSE_MODES:
        raise OAuthError(INVALID_REQUEST, "'response_mode' is 'query' or 'fragment'")
    state = given.get("state")
    if state is not None and len(state) > MAX_STATE_CHARACTERS:
        raise OAuthError(INVALID_REQUEST, "'state' is too long")
    return ReturnAddress(redirect_uri, mode, state)


def parse_authorization_request(
    given: Mapping[str, str], client: ClientMetadata, address: ReturnAddress
) -> AuthorizationRequest:
    """Raises OAuthError, which is told to the client."""
    if given.get("response_type") != "code":
        raise OAuthError(UNSUPPORTED_RESPONSE_TYPE, "'response_type' has to be 'code'")
    if AUTHORIZATION_CODE not in client.grant_types:
        raise OAuthError(UNAUTHORIZED_CLIENT, "This client did not register for the authorization code grant")
    challenge = given.get("code_challenge", "")
    # The default of RFC 7636 is "plain", which protects nobody.
    if given.get("code_challenge_method") != pkce.METHOD or not pkce.is_challenge(challenge):
        raise OAuthError(INVALID_REQUEST, "PKCE is required, with the method S256")
    prompts = given.get("prompt", "").split()
    if "none" in prompts:
        raise OAuthError(INTERACTION_REQUIRED, "People are always asked here")
    scope = parse_scope(given.get("scope", ""))
    return AuthorizationRequest(
        client_id=client.client_id,
        redirect_uri=address.redirect_uri,
        response_mode=address.response_mode,
        state=address.state,
        scope=scope.text,
        device_id=scope.device_id,
        code_challenge=challenge,
        wants_account="create" in prompts,
        wants_sign_in="login" in prompts,
    )

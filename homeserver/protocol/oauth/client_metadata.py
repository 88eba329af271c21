"""What a client says of itself when it registers (RFC 7591; client-server API, "Client metadata")."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from homeserver.protocol.canonical_json import encode_canonical
from homeserver.protocol.oauth.errors import INVALID_CLIENT_METADATA, INVALID_REDIRECT_URI, OAuthError
from homeserver.protocol.oauth.redirect_uris import (
    check_redirect_uri,
    host_of,
    is_below,
    is_web_page,
    matches,
    split_uri,
)

AUTHORIZATION_CODE: Final = "authorization_code"
REFRESH_TOKEN: Final = "refresh_token"
DEVICE_CODE: Final = "urn:ietf:params:oauth:grant-type:device_code"
GRANT_TYPES: Final = (AUTHORIZATION_CODE, REFRESH_TOKEN, DEVICE_CODE)
PAGES: Final = ("logo_uri", "tos_uri", "policy_uri")
MAX_NAME_CHARACTERS: Final = 128
MAX_REDIRECT_URIS: Final = 20


@dataclass(frozen=True, slots=True)
class ClientMetadata:
    """What we keep of it; the rest is ignored ("The server MUST ignore values that it does not understand")."""

    client_uri: str
    client_name: str | None
    is_native: bool
    redirect_uris: tuple[str, ...]
    grant_types: tuple[str, ...]
    pages: Mapping[str, str]

    @property
    def name(self) -> str:
        """As people are told: what it calls itself, else where it is from."""
        return self.client_name or self.host

    @property
    def host(self) -> str:
        """Where it is from. All that is known for sure where it redirects to https."""
        parts = split_uri(self.client_uri)
        assert parts is not None
        return host_of(parts)

    def redirects_to(self, uri: str) -> bool:
        """Whether it has registered this redirect URI."""
        return any(matches(registered, uri) for registered in self.redirect_uris)

    def as_json(self) -> dict[str, Any]:
        """As it is answered, and stored."""
        name = {"client_name": self.client_name} if self.client_name else {}
        return {
            "client_uri": self.client_uri,
            **name,
            **self.pages,
            "application_type": "native" if self.is_native else "web",
            "redirect_uris": list(self.redirect_uris),
            "response_types": ["code"] if AUTHORIZATION_CODE in self.grant_types else [],
            "grant_types": list(self.grant_types),
            "token_endpoint_auth_method": "none",
        }

    @property
    def client_id(self) -> str:
        """The same for the same metadata: "de-duplicating client registrations that have identical metadata"."""
        digest = hashlib.sha256(encode_canonical(self.as_json())).digest()
        return "vcc_" + base64.urlsafe_b64encode(digest[:18]).decode()


def parse_client_metadata(given: Mapping[str, Any]) -> ClientMetadata:
    """Raises OAuthError (`invalid_client_metadata`, `invalid_redirect_uri`)."""
    client_uri = _text(given, "client_uri")
    if client_uri is None or not is_web_page(client_uri):
        raise OAuthError(INVALID_CLIENT_METADATA, "'client_uri' is required: an https page about the client")
    parts = split_uri(client_uri)
    assert parts is not None
    host = host_of(parts)
    is_native = _text(given, "application_type") == "native"
    grant_types = _grant_types(given)
    redirect_uris = tuple(_texts(given, "redirect_uris", MAX_REDIRECT_URIS))
    for uri in redirect_uris:
        check_redirect_uri(uri, host, is_native=is_native)
    if AUTHORIZATION_CODE in grant_types and not redirect_uris:
        raise OAuthError(INVALID_REDIRECT_URI, "The authorization code grant needs a redirect URI")
    name = _text(given, "client_name")
    if name is not None and (len(name) > MAX_NAME_CHARACTERS or not name.isprintable()):
        raise OAuthError(
            INVALID_CLIENT_METADATA, f"'client_name' has at most {MAX_NAME_CHARACTERS} characters, on one line"
        )
    return ClientMetadata(client_uri, name or None, is_native, redirect_uris, grant_types, _pages(given, host))


def _grant_types(given: Mapping[str, Any]) -> tuple[str, ...]:
    """RFC 7591, 2: the authorization code grant where nothing is said."""
    asked = _texts(given, "grant_types", 20) if "grant_types" in given else [AUTHORIZATION_CODE]
    grant_types = tuple(each for each in GRANT_TYPES if each in asked)
    if not {AUTHORIZATION_CODE, DEVICE_CODE} & set(grant_types):
        raise OAuthError(INVALID_CLIENT_METADATA, "No grant type is left with which one could sign in")
    response_types = _texts(given, "response_types", 20) if "response_types" in given else ["code"]
    if AUTHORIZATION_CODE in grant_types and "code" not in response_types:
        raise OAuthError(INVALID_CLIENT_METADATA, "The authorization code grant needs the response type 'code'")
    return grant_types


def _pages(given: Mapping[str, Any], host: str) -> dict[str, str]:
    """ "This URI is a common base for all the other URIs in the metadata." """
    pages = {name: uri for name in PAGES if (uri := _text(given, name)) is not None}
    for name, uri in pages.items():
        parts = split_uri(uri)
        if parts is None or not is_web_page(uri) or not is_below(host_of(parts), host):
            raise OAuthError(
                INVALID_CLIENT_METADATA, f"'{name}' is an https page at the host of 'client_uri', or below it"
            )
    return pages


def _text(given: Mapping[str, Any], name: str) -> str | None:
    value = given.get(name)
    if value is not None and not isinstance(value, str):
        raise OAuthError(INVALID_CLIENT_METADATA, f"'{name}' must be a string")
    return value


def _texts(given: Mapping[str, Any], name: str, maximum: int) -> list[str]:
    values = given.get(name)
    if values is None:
        return []
    if not isinstance(values, list) or len(values) > maximum or not all(isinstance(each, str) for each in values):
        raise OAuthError(INVALID_CLIENT_METADATA, f"'{name}' must be a list of at most {maximum} strings")
    return list(dict.fromkeys(values))

"""What a provider says of itself. Source: OpenID Connect Discovery 1.0, sections 3 and 4.3; RFC 8414."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

from homeserver.protocol.errors import BadGateway

PATH: Final = "/.well-known/openid-configuration"
MAX_URL: Final = 2000


@dataclass(frozen=True, slots=True)
class Metadata:
    """Checked: addresses are addresses, and the issuer is the one that was asked."""

    issuer: str
    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str
    userinfo_endpoint: str | None = None
    names_issuer: bool = False
    """Its answers in the browser say who it is (RFC 9207)."""


def metadata_url(issuer: str) -> str:
    """Where it is: below the issuer, whose own slash at the end does not count."""
    return issuer.removesuffix("/") + PATH


def read_metadata(document: Mapping[str, Any], issuer: str, *, allow_http: bool = False) -> Metadata:
    """Raises BadGateway where the document is another provider's, or cannot be used safely."""
    # "The issuer value returned MUST be identical to the Issuer URL that was directly used to retrieve the configuration."
    if document.get("issuer") != issuer:
        raise BadGateway("The provider calls itself by another name than the one that was configured")
    methods = document.get("code_challenge_methods_supported")
    if isinstance(methods, list) and methods and "S256" not in methods:
        # Without it, who gets hold of a code could redeem it: we do not go down to `plain` (RFC 7636 section 7.2).
        raise BadGateway("The provider takes no PKCE with S256")
    userinfo = document.get("userinfo_endpoint")
    return Metadata(
        issuer=issuer,
        authorization_endpoint=_url(document, "authorization_endpoint", allow_http),
        token_endpoint=_url(document, "token_endpoint", allow_http),
        jwks_uri=_url(document, "jwks_uri", allow_http),
        userinfo_endpoint=None if userinfo is None else _url(document, "userinfo_endpoint", allow_http),
        names_issuer=document.get("authorization_response_iss_parameter_supported") is True,
    )


def is_web_url(value: object, *, allow_http: bool = False) -> bool:
    """An absolute address without a fragment or somebody's password in it."""
    if not isinstance(value, str) or len(value) > MAX_URL or not value.isprintable() or " " in value:
        return False
    try:
        parts = urlsplit(value)
        _ = parts.port
    except ValueError:
        return False
    schemes = ("https", "http") if allow_http else ("https",)
    return parts.scheme in schemes and bool(parts.hostname) and not parts.fragment and parts.username is None


def _url(document: Mapping[str, Any], name: str, allow_http: bool) -> str:
    value = document.get(name)
    if not isinstance(value, str) or not is_web_url(value, allow_http=allow_http):
        raise BadGateway(f"The provider's '{name}' is no address that can be used")
    return value

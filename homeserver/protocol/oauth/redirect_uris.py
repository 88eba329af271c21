"""Redirect URIs: which a client may register, and which of them a request means ("Redirect URI validation")."""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import SplitResult, urlsplit

from homeserver.protocol.oauth.errors import INVALID_REDIRECT_URI, OAuthError

LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "[::1]"})
MAX_URI_CHARACTERS: Final = 2048
# No space, quote or control character: an address stands in headers and in policies of pages.
_URI = re.compile(r"[!#$%&'()*+,./0-9:;=?@A-Z\[\]_a-z~-]+")
_SCHEME = re.compile(r"[a-z][a-z0-9+.-]*")
_HOST = re.compile(r"(?:[A-Za-z0-9_](?:[A-Za-z0-9_.-]*[A-Za-z0-9_])?|\[[0-9A-Fa-f:.]+\])")
_AUTHORITY_PORT = re.compile(r":\d{1,5}\Z")


def split_uri(uri: str) -> SplitResult | None:
    """The parts of an absolute URI; None where it is none."""
    if len(uri) > MAX_URI_CHARACTERS or _URI.fullmatch(uri) is None:
        return None
    try:
        parts = urlsplit(uri)
        _ = parts.port
    except ValueError:
        return None
    is_absolute = _SCHEME.fullmatch(parts.scheme) is not None and uri.lower().startswith(f"{parts.scheme}:")
    return parts if is_absolute else None


def host_of(parts: SplitResult) -> str:
    """The host as it is written, without user and port; empty where it is none."""
    host = _AUTHORITY_PORT.sub("", parts.netloc)
    return host.lower() if _HOST.fullmatch(host) else ""


def is_web_page(uri: str) -> bool:
    """An https URI without user and password."""
    parts = split_uri(uri)
    return parts is not None and parts.scheme == "https" and bool(host_of(parts))


def is_below(host: str, base: str) -> bool:
    """The same host, or a subdomain of it."""
    return host == base or host.endswith(f".{base}")


def check_redirect_uri(uri: str, client_host: str, *, is_native: bool) -> None:
    """Whether a client with a page at `client_host` may register it. Raises OAuthError."""
    parts = split_uri(uri)
    if parts is None or "#" in uri:
        raise OAuthError(INVALID_REDIRECT_URI, "A redirect URI is absolute, and has no fragment")
    if parts.scheme == "https":
        if not is_below(host_of(parts), client_host):
            raise OAuthError(INVALID_REDIRECT_URI, "The host of a redirect URI is that of the client_uri, or below it")
    elif not is_native:
        raise OAuthError(INVALID_REDIRECT_URI, "Redirect URIs of web clients use https")
    elif parts.scheme == "http":
        if parts.netloc not in LOOPBACK:
            raise OAuthError(INVALID_REDIRECT_URI, "With http, a redirect URI is at localhost, without a port")
    else:
        _check_private_scheme(uri, parts.scheme, client_host)


def _check_private_scheme(uri: str, scheme: str, client_host: str) -> None:
    """ "The scheme MUST be prefixed with the client URI hostname in reverse-DNS notation." """
    prefix = ".".join(reversed(client_host.split(".")))
    if scheme != prefix and not scheme.startswith(f"{prefix}."):
        raise OAuthError(INVALID_REDIRECT_URI, f"The scheme of a redirect URI begins with {prefix}")
    if uri[len(scheme) + 1 :].startswith("//"):
        raise OAuthError(INVALID_REDIRECT_URI, "A redirect URI with a scheme of its own has no host")


def matches(registered: str, asked: str) -> bool:
    """The same; on the loopback interface with any port (RFC 8252, 7.3)."""
    if registered == asked:
        return True
    parts, wanted = split_uri(asked), split_uri(registered)
    if parts is None or wanted is None or wanted.scheme != "http" or "#" in asked:
        return False
    return parts._replace(netloc=_AUTHORITY_PORT.sub("", parts.netloc)) == wanted


def form_target(uri: str) -> str:
    """What a page has to allow as `form-action` of its policy, so that a form may end at this redirect URI."""
    parts = split_uri(uri)
    if parts is None:
        return ""
    if parts.scheme not in ("http", "https"):
        return f"{parts.scheme}:"
    return f"{parts.scheme}://{parts.netloc}" if ";" not in parts.netloc and "," not in parts.netloc else ""

"""Where people go on after a sign-in for a client: addresses that clients name, and whose token goes into them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote, unquote_plus, urlsplit

from homeserver.protocol.errors import InvalidParam

MAX_URL: Final = 4096
TOKEN: Final = "loginToken"
# In a browser these run, or show, what somebody wrote into the address; all others lead to a page or an app.
NO_CLIENTS: Final = frozenset({"javascript", "data", "vbscript", "file", "blob", "about", "filesystem", "view-source"})


@dataclass(frozen=True, slots=True)
class TrustedClients:
    """`prefixes`: addresses that need no question, such as https://app.element.io/."""

    prefixes: Sequence[str]

    def include(self, url: str) -> bool:
        """Same scheme, host and port, and below the path: `https://app.element.io.evil.example/` is another host."""
        return any(_is_below(url, prefix) for prefix in self.prefixes)


def check_redirect_url(url: str) -> str:
    """The address as it stands. Raises InvalidParam where no client can be there."""
    # Control characters and backslashes are where browsers and parsers disagree about hosts.
    if len(url) > MAX_URL or not url.isprintable() or any(each in url for each in ' \\"<>'):
        raise InvalidParam("'redirectUrl' has characters that no address has, or is too long")
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        raise InvalidParam("'redirectUrl' is no address") from None
    if not parts.scheme or parts.scheme in NO_CLIENTS:
        raise InvalidParam("'redirectUrl' has to be the address of a client")
    if parts.scheme in ("http", "https") and (not parts.hostname or "@" in parts.netloc):
        raise InvalidParam("'redirectUrl' has to be the address of a client")
    return url


def with_login_token(url: str, token: str) -> str:
    """ "If it already includes one or more `loginToken` parameters, they should be removed before adding the new one." """
    before, mark, fragment = url.partition("#")
    path, _, query = before.partition("?")
    kept = [each for each in query.split("&") if each and unquote_plus(each.partition("=")[0]) != TOKEN]
    return f"{path}?{'&'.join([*kept, f'{TOKEN}={quote(token)}'])}{mark}{fragment}"


def shown_client(url: str) -> str:
    """What people are asked about: the host, or the name of an app."""
    parts = urlsplit(url)
    return parts.netloc or f"the app that opens {parts.scheme}: links"


def _is_below(url: str, prefix: str) -> bool:
    asked, trusted = urlsplit(url), urlsplit(prefix)
    same = (asked.scheme, asked.netloc.lower()) == (trusted.scheme, trusted.netloc.lower())
    path, below = asked.path or "/", trusted.path or "/"
    if ".." in unquote_plus(path).split("/"):
        return False
    return same and (path == below or path.startswith(below if below.endswith("/") else below + "/"))

"""A browser as our pages know it, and what it came for."""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from homeserver.protocol import errors

MAX_PENDING_ID_CHARACTERS = 64


@dataclass(frozen=True, slots=True)
class Browser:
    """Known by its cookie. Nobody need be signed in in it."""

    browser_id: int
    token: str = field(repr=False)
    """What the cookie says."""
    user_id: str | None = None
    methods: tuple[str, ...] = ()
    """How he proved who he is: "password", "totp", "oidc:example"."""
    signed_in_ms: int | None = None

    @property
    def csrf(self) -> str:
        """What every form of this browser carries. Another site can send its cookie (OWASP, "Cross-Site Request
        Forgery Prevention": a token bound to the session), but not read a page of ours.
        """
        digest = hmac.digest(self.token.encode(), b"csrf", hashlib.sha256)
        return base64.urlsafe_b64encode(digest).decode().rstrip("=")

    def check_csrf(self, sent: str | None) -> None:
        """Raises Forbidden."""
        if sent is None or not hmac.compare_digest(self.csrf.encode(), sent.encode("utf-8", "surrogatepass")):
            raise errors.Forbidden("This form is not from here, or too old: go back, load the page again, and repeat")

    def require_user(self) -> str:
        """Who is signed in. Raises Forbidden where nobody is."""
        if self.user_id is None:
            raise errors.Forbidden("You are not signed in")
        return self.user_id


@dataclass(frozen=True, slots=True)
class Half:
    """A first factor has been proved; the second is owed."""

    user_id: str
    methods: tuple[str, ...]
    until_ms: int


@dataclass(frozen=True, slots=True)
class Pending:
    """What a browser came for. The id stands in addresses: it is of no use in another browser."""

    pending_id: str
    browser_id: int
    kind: str
    memory: Mapping[str, Any] = field(default_factory=dict)
    fresh_since_ms: int = 0
    """Who signed in before this has to do so again."""
    half: Half | None = None

    def is_satisfied_by(self, browser: Browser) -> bool:
        """Whether somebody is signed in, and lately enough."""
        return browser.user_id is not None and (browser.signed_in_ms or 0) >= self.fresh_since_ms

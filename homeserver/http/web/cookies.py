"""The cookie by which a browser is known."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeVar

from homeserver.http.responses import Raw, Redirect
from homeserver.services.browser_sessions.browser_sessions import SIGNED_IN_MS

if TYPE_CHECKING:
    from homeserver.http.request import Request
    from homeserver.services.browser_sessions.browser import Browser

MAX_HEADER_CHARACTERS = 8192

Answer = TypeVar("Answer", bound=Raw | Redirect)


@dataclass(frozen=True, slots=True)
class Cookies:
    """`__Host-` keeps cookies of other hosts and of plain HTTP out (RFC 6265bis, 4.1.3.2), but needs TLS."""

    is_secure: bool

    @property
    def name(self) -> str:
        return "__Host-voicechat" if self.is_secure else "voicechat"

    def sent(self, request: Request[Any]) -> str | None:
        """The browser's token, if it sent one."""
        header = request.headers.get("Cookie", "")
        if len(header) > MAX_HEADER_CHARACTERS:
            return None
        for pair in header.split(";"):
            name, _, value = pair.strip().partition("=")
            if name == self.name and value:
                return value
        return None

    def keeping(self, browser: Browser, answer: Answer) -> Answer:
        """The answer, which makes the browser keep its token."""
        return self._with(answer, browser.token, SIGNED_IN_MS // 1000)

    def dropping(self, answer: Answer) -> Answer:
        """The answer, which makes the browser forget it."""
        return self._with(answer, "", 0)

    def _with(self, answer: Answer, value: str, seconds: int) -> Answer:
        # Lax: providers send people back here from their own sites, with a GET; forms of other sites come without.
        text = f"{self.name}={value}; Path=/; Max-Age={seconds}; HttpOnly; SameSite=Lax"
        headers = {**answer.headers, "Set-Cookie": text + ("; Secure" if self.is_secure else "")}
        return replace(answer, headers=headers)


def see_other(location: str) -> Redirect:
    """After a form, or from one page of ours to the next. Addresses hold ids: they go into no cache and no Referer."""
    return Redirect(location, 303, {"Cache-Control": "no-store", "Referrer-Policy": "no-referrer"})

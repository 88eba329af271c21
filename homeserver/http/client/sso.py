"""Clients send their users here to sign in with a provider. Client-server API, "SSO client login/authentication"."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from homeserver.http.client.auth_fallback import TITLE
from homeserver.http.endpoint import Auth, endpoint
from homeserver.http.pages import message, page
from homeserver.http.request import Request
from homeserver.http.responses import Redirect, Response
from homeserver.http.web.cookies import Cookies, see_other
from homeserver.protocol import errors
from homeserver.services.browser_sessions.browser import Browser, Pending
from homeserver.services.browser_sessions.browser_sessions import BrowserSessions
from homeserver.services.browser_sessions.methods import REGISTER_PATH
from homeserver.services.ui_auth.ui_auth import SSO as SSO_STAGE
from homeserver.services.ui_auth.ui_auth import UiAuth
from homeserver.services.upstream.clients import check_redirect_url
from homeserver.services.upstream.sign_in import UI_AUTH, ProviderSignIn

REDIRECT: Final = "/_matrix/client/v3/login/sso/redirect"
SSO: Final = "sso"
"""Kind of pending: a client wants a login token."""


@dataclass(frozen=True, slots=True)
class SsoEndpoints:
    """`only`: the one provider that there is; None where people choose on the sign-in page."""

    sign_in: ProviderSignIn
    browsers: BrowserSessions
    cookies: Cookies
    ui_auth: UiAuth
    only: str | None
    can_register: bool = False
    """Whether there is a page for new accounts."""

    @endpoint("GET", REDIRECT, "/_matrix/client/v3/login/cas/redirect", auth=Auth.NONE, limit="web_page")
    async def redirect(self, request: Request[None]) -> Response:
        """`login/cas/redirect`: clients of before there were several ways."""
        return await self._to_provider(request, self.only)

    @endpoint("GET", f"{REDIRECT}/{{idp_id}}", auth=Auth.NONE, limit="web_page")
    async def redirect_to_provider(self, request: Request[None]) -> Response:
        """404 "The IdP identifier in the URL was not recognised"."""
        provider_id = request.path["idp_id"]
        self.sign_in.client(provider_id)
        return await self._to_provider(request, provider_id)

    async def _to_provider(self, request: Request[None], provider_id: str | None) -> Response:
        url = check_redirect_url(request.query.required("redirectUrl"))
        action = request.query.string("action", "login")
        browser = await self.browsers.meet(self.cookies.sent(request))
        # Afresh: the provider is asked each time whether he still is who he was.
        pending = await self.browsers.begin(browser, SSO, {"redirect_url": url}, fresh=True)
        return self.cookies.keeping(browser, found(await self._first_page(browser, pending, provider_id, action)))

    async def _first_page(
        self, browser: Browser, pending: Pending, provider_id: str | None, action: str = "login"
    ) -> str:
        """`action`: "login" or "register", whichever button he pressed in his client (MSC3824)."""
        if provider_id is None:
            if action == "register" and self.can_register:
                return f"{REGISTER_PATH}?pending={pending.pending_id}"
            return await self.browsers.continue_(browser, pending)
        return await self.sign_in.start(browser, pending, provider_id)

    @endpoint("GET", f"/_matrix/client/v3/auth/{SSO_STAGE}/fallback/web", auth=Auth.NONE, limit="web_page")
    async def fallback(self, request: Request[None]) -> Response:
        """The stage in a browser: sign in there, then say that this is wanted."""
        session = await self.ui_auth.peek(request.query.required("session"))
        operation, _, user_id = session.operation.rpartition(" ") if session is not None else ("", "", "")
        if session is None or not user_id:
            return page(TITLE, message("This confirmation is not asked for (any more)."), 404)
        memory: dict[str, Any] = {"session": session.session_id, "operation": operation, "user_id": user_id}
        browser = await self.browsers.meet(self.cookies.sent(request))
        pending = await self.browsers.begin(browser, UI_AUTH, memory, fresh=True)
        try:
            url = await self._first_page(browser, pending, self.only)
        except errors.MatrixError as error:
            return page(TITLE, message(error.message), error.status)
        return self.cookies.keeping(browser, found(url))


def found(url: str) -> Redirect:
    """302, as the specification has it for these addresses."""
    return Redirect(url, 302, see_other(url).headers)

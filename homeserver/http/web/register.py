"""/_voicechat/register: the page on which people make an account (`prompt=create` of an application, or the sign-in page)."""

from __future__ import annotations

import html
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from homeserver.http.client.auth_fallback import policies_to_accept
from homeserver.http.endpoint import Auth, endpoint
from homeserver.http.pages import MAX_FORM_BYTES, alert, message, page, read_form
from homeserver.http.request import Request
from homeserver.http.responses import Raw, Response
from homeserver.http.web.cookies import Cookies, see_other
from homeserver.http.web.sign_in import hidden_fields
from homeserver.protocol import errors
from homeserver.services.browser_sessions.browser import Browser, Pending
from homeserver.services.browser_sessions.browser_sessions import SIGN_IN_PATH, BrowserSessions
from homeserver.services.browser_sessions.methods import REGISTER_PATH
from homeserver.services.registration.in_browser import RegistrationInBrowser
from homeserver.services.registration.terms import TERMS
from homeserver.services.ui_auth.stages import REGISTRATION_TOKEN

TITLE = "VoiceChat: a new account"


@dataclass(frozen=True, slots=True)
class RegisterPages:
    """Afterwards he is signed in, and goes on with what he came for."""

    registration: RegistrationInBrowser
    browsers: BrowserSessions
    cookies: Cookies
    server_name: str

    @endpoint("GET", REGISTER_PATH, auth=Auth.NONE, limit="web_page")
    async def show(self, request: Request[None]) -> Response:
        try:
            browser, pending = await self._find(request, request.query.string("pending", ""))
        except errors.NotFound as error:
            return page(TITLE, message(error.message), error.status)
        if not self.registration.stages:
            return page(TITLE, message("Nobody can make an account here."), 403)
        return self._form(browser, pending)

    @endpoint("POST", REGISTER_PATH, auth=Auth.NONE, limit="registration", max_body_bytes=MAX_FORM_BYTES)
    async def submit(self, request: Request[None]) -> Response:
        form = await read_form(request)
        try:
            browser, pending = await self._find(request, form.get("pending", ""))
        except errors.NotFound as error:
            return page(TITLE, message(error.message), error.status)
        try:
            browser.check_csrf(form.get("csrf"))
            browser, pending = await self._register(browser, pending, form, request.remote_address)
        except errors.MatrixError as error:
            return self._form(browser, pending, form.get("username", ""), error.message, error.status)
        return self.cookies.keeping(browser, see_other(await self.browsers.continue_(browser, pending)))

    async def _register(
        self, browser: Browser, pending: Pending, form: Mapping[str, str], address: str
    ) -> tuple[Browser, Pending]:
        if form.get("password", "") != form.get("again", ""):
            raise errors.InvalidParam("The two passwords are not the same")
        if TERMS in self.registration.stages and "accepted" not in form:
            raise errors.InvalidParam("To go on, you have to agree")
        username, token = form.get("username", "").strip(), form.get("token", "").strip()
        if not username:
            raise errors.InvalidUsername("Choose a name")
        return await self.registration.register(browser, pending, username, form.get("password", ""), token, address)

    async def _find(self, request: Request[None], pending_id: str) -> tuple[Browser, Pending]:
        browser = await self.browsers.find(self.cookies.sent(request))
        pending = await self.browsers.pending(browser, pending_id)
        assert browser is not None
        return browser, pending

    def _form(
        self, browser: Browser, pending: Pending, username: str = "", problem: str = "", status: int = 200
    ) -> Raw:
        stages = self.registration.stages
        token = '<label>Registration token\n<input name="token" autocomplete="off" required></label>\n'
        terms: Mapping[str, Any] = self.registration.registration.terms.params
        content = f"""<h1>A new account at {html.escape(self.server_name)}</h1>
{alert(problem)}
<form method="post" action="{REGISTER_PATH}">
{hidden_fields(browser, pending)}
<label>User name
<input name="username" value="{html.escape(username)}" autocomplete="username" autocapitalize="none" required autofocus>
</label>
<label>Password
<input name="password" type="password" autocomplete="new-password" required>
</label>
<label>Password, once more
<input name="again" type="password" autocomplete="new-password" required>
</label>
{token if REGISTRATION_TOKEN in stages else ""}{policies_to_accept(terms["policies"]) if TERMS in stages else ""}
<button>Make the account</button>
</form>
<p><a href="{SIGN_IN_PATH}?pending={html.escape(pending.pending_id)}">I have an account</a></p>"""
        return page(TITLE, content, status)

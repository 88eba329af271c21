"""/_voicechat/oauth2/link: the page on which people type what a device shows them (RFC 8628, 3.3)."""

from __future__ import annotations

import html
from dataclasses import dataclass

from homeserver.http.endpoint import Auth, endpoint
from homeserver.http.pages import MAX_FORM_BYTES, alert, message, page, read_form
from homeserver.http.request import Request
from homeserver.http.responses import Raw, Response
from homeserver.http.web.authorize import decision_form, introduction
from homeserver.http.web.cookies import Cookies, see_other
from homeserver.http.web.detours import detour
from homeserver.http.web.sign_in import other_account_form
from homeserver.protocol import errors
from homeserver.services.browser_sessions.browser import Browser, Pending
from homeserver.services.browser_sessions.browser_sessions import BrowserSessions
from homeserver.services.oauth.clients import OAuthClients
from homeserver.services.oauth.device_grants import KIND, DeviceGrants
from homeserver.services.oauth.metadata import LINK, ROOT

TITLE = "VoiceChat: sign in a device"
CONSENT = f"{ROOT}/link/consent"
MAX_TYPED_CHARACTERS = 32


@dataclass(frozen=True, slots=True)
class LinkDevicePages:
    """A code in the address is shown and has to be confirmed: somebody else may have sent the link (RFC 8628, 5.4)."""

    grants: DeviceGrants
    clients: OAuthClients
    browsers: BrowserSessions
    cookies: Cookies

    @endpoint("GET", LINK, auth=Auth.NONE, limit="web_page")
    async def show(self, request: Request[None]) -> Response:
        browser = await self.browsers.meet(self.cookies.sent(request))
        typed = request.query.string("user_code", "")[:MAX_TYPED_CHARACTERS]
        return self.cookies.keeping(browser, _code_form(browser, typed))

    @endpoint("POST", LINK, auth=Auth.NONE, limit="login", max_body_bytes=MAX_FORM_BYTES)
    async def submit(self, request: Request[None]) -> Response:
        """Class "login": codes can be guessed, as passwords can."""
        form = await read_form(request)
        typed = form.get("user_code", "")[:MAX_TYPED_CHARACTERS]
        browser = await self.browsers.find(self.cookies.sent(request))
        if browser is None:
            return page(TITLE, message("This page is too old: load it again."), 403)
        try:
            browser.check_csrf(form.get("csrf"))
            pending = await self.grants.begin_decision(browser, await self.grants.find(typed))
        except errors.MatrixError as error:
            return _code_form(browser, typed, error.message, error.status)
        return see_other(await self.browsers.continue_(browser, pending))

    @endpoint("GET", CONSENT, auth=Auth.NONE, limit="web_page")
    async def ask(self, request: Request[None]) -> Response:
        try:
            browser, pending = await self._find(request, request.query.string("pending", ""))
            if first := await detour(self.browsers, browser, pending, CONSENT):
                return first
            code = await self.grants.of(pending)
            client = await self.clients.get(code.client_id)
        except errors.MatrixError as error:
            return page(TITLE, message(error.message), error.status)
        content = f"""{introduction(browser, client, code.device_id)}
<p>Go on only if your own device shows the code <strong>{code.user_code[:4]}-{code.user_code[4:]}</strong> now,
and you have begun this there yourself.</p>
{decision_form(CONSENT, browser, pending, "allow", "Allow")}
{decision_form(CONSENT, browser, pending, "deny", "Deny")}
{other_account_form(browser, pending)}"""
        return page(TITLE, content)

    @endpoint("POST", CONSENT, auth=Auth.NONE, limit="web_form", max_body_bytes=MAX_FORM_BYTES)
    async def decide(self, request: Request[None]) -> Response:
        form = await read_form(request)
        granted = form.get("decision") == "allow"
        try:
            browser, pending = await self._find(request, form.get("pending", ""))
            browser.check_csrf(form.get("csrf"))
            if first := await detour(self.browsers, browser, pending, CONSENT):
                return first
            await self.grants.decide(browser, pending, request.remote_address, granted=granted)
        except errors.MatrixError as error:
            return page(TITLE, message(error.message), error.status)
        done = "Your device is signed in. You can close this window." if granted else "Your device is not signed in."
        return page(TITLE, f"<h1>Done</h1>\n{message(done)}")

    async def _find(self, request: Request[None], pending_id: str) -> tuple[Browser, Pending]:
        browser = await self.browsers.find(self.cookies.sent(request))
        pending = await self.browsers.pending(browser, pending_id, KIND)
        assert browser is not None
        return browser, pending


def _code_form(browser: Browser, typed: str, problem: str = "", status: int = 200) -> Raw:
    content = f"""<h1>Sign in a device</h1>
{alert(problem)}
<form method="post" action="{LINK}">
<input type="hidden" name="csrf" value="{browser.csrf}">
<label>The code that your device shows
<input name="user_code" value="{html.escape(typed)}" autocomplete="off" autocapitalize="characters"
spellcheck="false" required autofocus>
</label>
<button>Continue</button>
</form>"""
    return page(TITLE, content, status)

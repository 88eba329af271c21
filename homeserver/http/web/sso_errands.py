"""What people came for who sign in with a provider: a login token for a client, or a confirmation for one."""

from __future__ import annotations

import html
from dataclasses import dataclass, replace
from typing import Final

from homeserver.http.client.auth_fallback import DONE_SCRIPT
from homeserver.http.client.auth_fallback import TITLE as CONFIRM_TITLE
from homeserver.http.client.sso import SSO
from homeserver.http.endpoint import Auth, endpoint
from homeserver.http.pages import MAX_FORM_BYTES, message, page, read_form
from homeserver.http.request import Request
from homeserver.http.responses import Raw, Response
from homeserver.http.web.cookies import Cookies
from homeserver.http.web.detours import detour
from homeserver.http.web.providers import TITLE, problem
from homeserver.http.web.sign_in import hidden_fields, other_account_form
from homeserver.protocol import errors
from homeserver.services.accounts.login_tokens import LoginTokens
from homeserver.services.browser_sessions.browser import Browser, Pending
from homeserver.services.browser_sessions.browser_sessions import SIGN_IN_PATH, BrowserSessions
from homeserver.services.ui_auth.ui_auth import SSO as SSO_STAGE
from homeserver.services.ui_auth.ui_auth import UiAuth
from homeserver.services.upstream.clients import TrustedClients, shown_client, with_login_token
from homeserver.services.upstream.sign_in import UI_AUTH
from homeserver.storage.database import Database

CLIENT_PATH: Final = f"{SIGN_IN_PATH}/client"
CONFIRM_PATH: Final = f"{SIGN_IN_PATH}/confirm"

WORDS: Final = {
    "DELETE /devices": "sign out a device",
    "POST /account/password": "change your password",
    "POST /account/deactivate": "end your account for good",
    "POST /account/3pid/add": "add an address to your account",
    "POST /login/get_token": "sign in another device",
    "POST /keys/device_signing/upload": "replace the keys by which others know your devices",
}


@dataclass(frozen=True, slots=True)
class SsoErrandPages:
    """The last step in the browser."""

    database: Database
    browsers: BrowserSessions
    tokens: LoginTokens
    ui_auth: UiAuth
    cookies: Cookies
    trusted: TrustedClients

    @endpoint("GET", CLIENT_PATH, auth=Auth.NONE, limit="web_page")
    async def go_to_client(self, request: Request[None]) -> Response:
        """ "Homeservers SHOULD confirm with the user that they are happy to grant access to their matrix account"."""
        try:
            browser, pending = await self._find(request, request.query.string("pending", ""), SSO)
            elsewhere = await detour(self.browsers, browser, pending, CLIENT_PATH)
            return elsewhere or await self.client_page(browser, pending)
        except errors.MatrixError as error:
            return problem(error)

    async def client_page(self, browser: Browser, pending: Pending) -> Raw:
        """On to the client: at once where it is trusted, else by a link. Raises Forbidden, NotFound."""
        url, user_id = str(pending.memory["redirect_url"]), browser.require_user()
        async with self.database.transaction() as tx:
            await self.browsers.finish(tx, pending)
            issued = await self.tokens.issue_in_browser(tx, user_id, browser.browser_id)
        url_with_token = with_login_token(url, issued.token)
        client = html.escape(shown_client(url))
        if self.trusted.include(url):
            return _on_its_way(client, url_with_token)
        content = f"""<h1>Continue to {client}?</h1>
<p>It will be signed in to your account {html.escape(user_id)}, and can then read and write everything that you can.</p>
<p><a class="button" href="{html.escape(url_with_token)}">Continue</a></p>
<p>If you did not come from {client}, close this page.</p>"""
        return page(TITLE, content)

    @endpoint("GET", CONFIRM_PATH, auth=Auth.NONE, limit="web_page")
    async def ask(self, request: Request[None]) -> Response:
        """ "Simply redirecting the user to the SSO system is insufficient, since they may not realise what is being asked"."""
        try:
            browser, pending = await self._find(request, request.query.string("pending", ""), UI_AUTH)
            elsewhere = await detour(self.browsers, browser, pending, CONFIRM_PATH)
            return elsewhere or _question(browser, pending)
        except errors.MatrixError as error:
            return problem(error)

    @endpoint("POST", CONFIRM_PATH, auth=Auth.NONE, limit="web_form", max_body_bytes=MAX_FORM_BYTES)
    async def confirm(self, request: Request[None]) -> Response:
        form = await read_form(request)
        try:
            browser, pending = await self._find(request, form.get("pending", ""), UI_AUTH)
            browser.check_csrf(form.get("csrf"))
            elsewhere = await detour(self.browsers, browser, pending, CONFIRM_PATH)
            return elsewhere or await self.confirmed(browser, pending)
        except errors.MatrixError as error:
            return problem(error)

    async def confirmed(self, browser: Browser, pending: Pending) -> Raw:
        """The stage is completed. Raises Forbidden where somebody else is signed in; NotFound."""
        if browser.require_user() != pending.memory["user_id"]:
            raise errors.Forbidden("You are not signed in as the one whom this is about")
        async with self.database.transaction() as tx:
            await self.browsers.finish(tx, pending)
            await self.ui_auth.prove(tx, pending.memory["session"], SSO_STAGE, browser.require_user())
        return page(CONFIRM_TITLE, message("Thank you. You can close this window."), script=DONE_SCRIPT)

    async def _find(self, request: Request[None], pending_id: str, kind: str) -> tuple[Browser, Pending]:
        browser = await self.browsers.find(self.cookies.sent(request))
        pending = await self.browsers.pending(browser, pending_id, kind)
        assert browser is not None
        return browser, pending


def _on_its_way(client: str, url: str) -> Raw:
    """No redirect: a form of ours may have led here, and browsers hold what follows a form against `form-action`."""
    link = f'<p>You go on to <a href="{html.escape(url)}">{client}</a>.</p>'
    raw = page(TITLE, link)
    return replace(raw, headers={**raw.headers, "Refresh": f"0; url={url}"})


def _question(browser: Browser, pending: Pending) -> Raw:
    user_id, operation = html.escape(pending.memory["user_id"]), pending.memory["operation"]
    if browser.user_id != pending.memory["user_id"]:
        content = f"<h1>This is about {user_id}</h1>\n{message(f'You have signed in as {browser.user_id}.')}"
        return page(CONFIRM_TITLE, f"{content}\n{other_account_form(browser, pending)}", 403)
    content = f"""<h1>Is it you?</h1>
<p>A client of {user_id} wants to do this: <strong>{_in_words(operation)}</strong> ({html.escape(operation)}).
If you did not expect this, close this page: somebody else may be using your account.</p>
<form method="post" action="{CONFIRM_PATH}">
{hidden_fields(browser, pending)}
<button>Yes, confirm</button>
</form>"""
    return page(CONFIRM_TITLE, content)


def _in_words(operation: str) -> str:
    """Of devices the names follow."""
    known = " ".join(operation.split(" ")[:2])
    return WORDS.get(known, "change something that needs your confirmation")

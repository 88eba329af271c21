"""/_voicechat/sign-in/connections: with which providers one signs in. A page behind that of the account."""

from __future__ import annotations

import html
from dataclasses import dataclass
from typing import Final

from homeserver.http.endpoint import Auth, endpoint
from homeserver.http.pages import MAX_FORM_BYTES, alert, page, read_form
from homeserver.http.request import Request
from homeserver.http.responses import Raw, Redirect, Response
from homeserver.http.web.cookies import Cookies, see_other
from homeserver.http.web.detours import detour
from homeserver.http.web.providers import PROVIDER_PATH, problem
from homeserver.http.web.sign_in import hidden_fields
from homeserver.protocol import errors
from homeserver.services.browser_sessions.browser import Browser, Pending
from homeserver.services.browser_sessions.browser_sessions import SIGN_IN_PATH, BrowserSessions
from homeserver.services.upstream.linked import CONNECT, LinkedProviders
from homeserver.services.upstream.provider import Provider
from homeserver.services.upstream.sign_in import CONNECTIONS_PATH, ProviderSignIn
from homeserver.storage.external_ids import ExternalId

OPEN_PATH: Final = f"{SIGN_IN_PATH}/connected"
REMOVE_PATH: Final = f"{CONNECTIONS_PATH}/remove"
TITLE: Final = "VoiceChat: your account"


@dataclass(frozen=True, slots=True)
class LinkedProviderPages:
    """Whoever has not signed in lately does so first: it is about who gets in."""

    sign_in: ProviderSignIn
    linked: LinkedProviders
    browsers: BrowserSessions
    cookies: Cookies

    @endpoint("GET", OPEN_PATH, auth=Auth.NONE, limit="web_page")
    async def open(self, request: Request[None]) -> Response:
        browser = await self.browsers.meet(self.cookies.sent(request))
        pending = await self.browsers.begin(browser, CONNECT, {}, fresh=True)
        return self.cookies.keeping(browser, see_other(await self.browsers.continue_(browser, pending)))

    @endpoint("GET", CONNECTIONS_PATH, auth=Auth.NONE, limit="web_page")
    async def show(self, request: Request[None]) -> Response:
        try:
            browser, pending = await self._find(request, request.query.string("pending", ""))
            elsewhere = await detour(self.browsers, browser, pending, CONNECTIONS_PATH)
            return elsewhere or await self._page(browser, pending)
        except errors.MatrixError as error:
            return problem(error)

    @endpoint("POST", REMOVE_PATH, auth=Auth.NONE, limit="web_form", max_body_bytes=MAX_FORM_BYTES)
    async def remove(self, request: Request[None]) -> Response:
        form = await read_form(request)
        try:
            browser, pending = await self._checked(request, form)
        except errors.MatrixError as error:
            return problem(error)
        try:
            provider, external_id = form.get("provider", ""), form.get("external_id", "")
            await self.linked.unlink(browser.require_user(), provider, external_id, request.remote_address)
        except errors.MatrixError as error:
            return await self._page(browser, pending, error.message, error.status)
        return self._here(pending)

    async def _checked(self, request: Request[None], form: dict[str, str]) -> tuple[Browser, Pending]:
        browser, pending = await self._find(request, form.get("pending", ""))
        browser.check_csrf(form.get("csrf"))
        if await detour(self.browsers, browser, pending, CONNECTIONS_PATH) is not None:
            raise errors.Forbidden("You signed in too long ago: load the page again")
        return browser, pending

    def _here(self, pending: Pending) -> Redirect:
        return see_other(f"{CONNECTIONS_PATH}?pending={pending.pending_id}")

    async def _find(self, request: Request[None], pending_id: str) -> tuple[Browser, Pending]:
        browser = await self.browsers.find(self.cookies.sent(request))
        pending = await self.browsers.pending(browser, pending_id, CONNECT)
        assert browser is not None
        return browser, pending

    async def _page(self, browser: Browser, pending: Pending, problem_text: str = "", status: int = 200) -> Raw:
        hidden = hidden_fields(browser, pending)
        known = await self.linked.of_user(browser.require_user())
        listed = "".join(self._listed(each, hidden) for each in known) or "<p>None.</p>"
        offers = "".join(_offer(client.provider, pending) for client in self.sign_in.clients.values())
        content = f"""<h1>Sign-in with providers</h1>
{alert(problem_text)}
<p>{html.escape(browser.require_user())} is connected with:</p>
{listed}
<h2>Connect another</h2>
{offers}"""
        return page(TITLE, content, status)

    def _listed(self, each: ExternalId, hidden: str) -> str:
        client = self.sign_in.clients.get(each.provider)
        name = each.provider if client is None else client.provider.name
        return f"""<form method="post" action="{REMOVE_PATH}">
{hidden}
<input type="hidden" name="provider" value="{html.escape(each.provider)}">
<input type="hidden" name="external_id" value="{html.escape(each.external_id)}">
<p>{html.escape(name)} ({html.escape(each.external_id)})</p>
<button>Disconnect {html.escape(name)}</button>
</form>
"""


def _offer(provider: Provider, pending: Pending) -> str:
    """A link, for forms end on this server. `ProviderSignIn.came` connects it when he is back."""
    path = f"{PROVIDER_PATH}/{provider.id}?pending={pending.pending_id}"
    return f'<p><a class="button" href="{path}">Connect {html.escape(provider.name)}</a></p>\n'

"""An application asks for somebody's account: the authorization endpoint (RFC 6749, 3.1) and the page that asks him."""

from __future__ import annotations

import html
from dataclasses import dataclass

from homeserver.http.endpoint import Auth, endpoint
from homeserver.http.pages import MAX_FORM_BYTES, message, page, read_form
from homeserver.http.query import Query
from homeserver.http.request import Request
from homeserver.http.responses import Raw, Redirect, Response
from homeserver.http.web.cookies import Cookies, see_other
from homeserver.http.web.detours import detour
from homeserver.http.web.sign_in import hidden_fields, other_account_form
from homeserver.protocol import errors
from homeserver.protocol.oauth.authorization import parse_authorization_request, return_address
from homeserver.protocol.oauth.client_metadata import ClientMetadata
from homeserver.protocol.oauth.errors import INVALID_REQUEST, OAuthError
from homeserver.protocol.oauth.redirect_uris import form_target
from homeserver.services.browser_sessions.browser import Browser, Pending
from homeserver.services.browser_sessions.browser_sessions import BrowserSessions
from homeserver.services.browser_sessions.methods import REGISTER_PATH
from homeserver.services.oauth.authorizations import KIND, Authorizations, request_of
from homeserver.services.oauth.clients import OAuthClients
from homeserver.services.oauth.metadata import AUTHORIZE, ROOT

TITLE = "VoiceChat: sign in to an application"
CONSENT = f"{ROOT}/consent"


@dataclass(frozen=True, slots=True)
class AuthorizePages:
    """Everybody is asked every time: it is one click, and nobody signs an application in unseen."""

    clients: OAuthClients
    authorizations: Authorizations
    browsers: BrowserSessions
    cookies: Cookies
    can_register: bool = False
    """Whether there is a page for new accounts."""

    @endpoint("GET", AUTHORIZE, auth=Auth.NONE, limit="web_page")
    async def authorize(self, request: Request[None]) -> Response:
        try:
            given = _parameters(request.query)
            client = await self.clients.use(given.get("client_id", ""))
            address = return_address(given, client)
        except OAuthError as error:
            # RFC 6749, 4.1.2.1: "the authorization server ... MUST NOT automatically redirect".
            return page(TITLE, message(error.message), error.status)
        try:
            wanted = parse_authorization_request(given, client, address)
        except OAuthError as error:
            answer = {"error": error.code, "error_description": error.message}
            return see_other(address.with_answer(answer, self.authorizations.issuer))
        browser = await self.browsers.meet(self.cookies.sent(request))
        pending = await self.authorizations.begin(browser, wanted)
        return self.cookies.keeping(browser, await self._first_page(browser, pending))

    async def _first_page(self, browser: Browser, pending: Pending) -> Redirect:
        if self.can_register and request_of(pending).wants_account:
            return see_other(f"{REGISTER_PATH}?pending={pending.pending_id}")
        return see_other(await self.browsers.continue_(browser, pending))

    @endpoint("GET", CONSENT, auth=Auth.NONE, limit="web_page")
    async def show(self, request: Request[None]) -> Response:
        try:
            browser, pending = await self._find(request, request.query.string("pending", ""))
            client = await self.clients.get(request_of(pending).client_id)
        except errors.MatrixError as error:
            return page(TITLE, message(error.message), error.status)
        return await detour(self.browsers, browser, pending, CONSENT) or _consent(browser, pending, client)

    @endpoint("POST", CONSENT, auth=Auth.NONE, limit="web_form", max_body_bytes=MAX_FORM_BYTES)
    async def decide(self, request: Request[None]) -> Response:
        form = await read_form(request)
        try:
            browser, pending = await self._find(request, form.get("pending", ""))
            browser.check_csrf(form.get("csrf"))
            if form.get("decision") != "allow":
                return see_other(await self.authorizations.deny(pending))
            first = await detour(self.browsers, browser, pending, CONSENT)
            return first or see_other(await self.authorizations.grant(browser, pending, request.remote_address))
        except errors.MatrixError as error:
            return page(TITLE, message(error.message), error.status)

    async def _find(self, request: Request[None], pending_id: str) -> tuple[Browser, Pending]:
        browser = await self.browsers.find(self.cookies.sent(request))
        pending = await self.browsers.pending(browser, pending_id, KIND)
        assert browser is not None
        return browser, pending


def _parameters(query: Query) -> dict[str, str]:
    """Raises OAuthError: "Request and response parameters MUST NOT be included more than once"."""
    names = query.names()
    if any(len(query.strings(name)) > 1 for name in names):
        raise OAuthError(INVALID_REQUEST, "A parameter is there more than once")
    return {name: query.strings(name)[0] for name in names}


def _consent(browser: Browser, pending: Pending, client: ClientMetadata) -> Raw:
    request = request_of(pending)
    content = f"""{introduction(browser, client, request.device_id)}
{decision_form(CONSENT, browser, pending, "allow", "Allow")}
{decision_form(CONSENT, browser, pending, "deny", "Deny")}
{other_account_form(browser, pending)}"""
    # Browsers hold redirects that follow a form against form-action too.
    return page(TITLE, content, forms_to=form_target(request.redirect_uri))


def introduction(browser: Browser, client: ClientMetadata, device_id: str) -> str:
    """Who asks for what, and whose it is."""
    links = {"tos_uri": "terms of service", "policy_uri": "privacy policy"}
    pages = "".join(
        f'<p><a href="{html.escape(client.pages[key])}" target="_blank" rel="noopener noreferrer">'
        f"{html.escape(client.name)}: {text}</a></p>\n"
        for key, text in links.items()
        if key in client.pages
    )
    return f"""<h1>Allow {html.escape(client.name)} to use your account?</h1>
<p>You are <strong>{html.escape(browser.require_user())}</strong>.</p>
<p>{html.escape(client.name)} (<strong>{html.escape(client.host)}</strong>) will be able to read and
write everything that you can: your messages, rooms, files and contacts. It becomes your device
<strong>{html.escape(device_id)}</strong>, which you can sign out whenever you like.</p>
{pages}"""


def decision_form(path: str, browser: Browser, pending: Pending, decision: str, label: str) -> str:
    """One button."""
    quiet = "" if decision == "allow" else ' class="quiet"'
    return f"""<form method="post" action="{path}">
{hidden_fields(browser, pending)}
<input type="hidden" name="decision" value="{decision}">
<button{quiet}>{label}</button>
</form>"""

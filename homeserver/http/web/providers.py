"""/_voicechat/sign-in/provider: to a provider, and back; which account it is; on to the client, or to what was confirmed."""

from __future__ import annotations

import html
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Final

from homeserver.http.endpoint import Auth, endpoint
from homeserver.http.pages import MAX_FORM_BYTES, alert, message, page, read_form
from homeserver.http.request import Request
from homeserver.http.responses import Json, Raw, Response
from homeserver.http.web.cookies import Cookies, see_other
from homeserver.http.web.sign_in import hidden_fields
from homeserver.protocol import errors
from homeserver.services.browser_sessions.browser import Browser, Pending
from homeserver.services.browser_sessions.browser_sessions import SIGN_IN_PATH, BrowserSessions
from homeserver.services.browser_sessions.password_sign_in import PasswordSignIn
from homeserver.services.upstream.oidc import OidcClient
from homeserver.services.upstream.sign_in import ARRIVAL_PATH, ProviderSignIn

PROVIDER_PATH: Final = f"{SIGN_IN_PATH}/provider"
CALLBACK: Final = "callback"
CREATE_PATH: Final = f"{ARRIVAL_PATH}/new"
TITLE: Final = "VoiceChat: sign in"
MAX_ANSWER_FIELDS: Final = 20
MAX_LOGOUT_BYTES: Final = 64 * 1024
NO_STORE: Final = {"Cache-Control": "no-store"}

Settle = Callable[[Browser, Pending], Awaitable[tuple[Browser, str]]]


@dataclass(frozen=True, slots=True)
class ProviderPages:
    """What is wrong is said on a page: people see it, not programs."""

    sign_in: ProviderSignIn
    browsers: BrowserSessions
    password: PasswordSignIn
    cookies: Cookies
    server_name: str

    @endpoint("GET", f"{PROVIDER_PATH}/{{provider_id}}", auth=Auth.NONE, limit="web_page")
    async def start(self, request: Request[None]) -> Response:
        """Step 1 and 2: the button was pressed."""
        try:
            browser, pending = await self._find(request, request.query.string("pending", ""))
            return see_other(await self.sign_in.start(browser, pending, request.path["provider_id"]))
        except errors.MatrixError as error:
            return problem(error)

    @endpoint("GET", f"{PROVIDER_PATH}/{{provider_id}}/{CALLBACK}", auth=Auth.NONE, limit="login")
    async def come_back(self, request: Request[None]) -> Response:
        """Step 4: with a code, or with an error."""
        answer = {name: request.query.string(name, "") for name in list(request.query.names())[:MAX_ANSWER_FIELDS]}
        return await self.finish(request, request.path["provider_id"], answer)

    async def finish(self, request: Request[None], provider_id: str, answer: Mapping[str, str]) -> Response:
        """What the browser brings back, however it came."""
        browser = await self.browsers.find(self.cookies.sent(request))
        try:
            browser, url = await self.sign_in.finish(browser, provider_id, answer, request.remote_address)
        except errors.MatrixError as error:
            return problem(error)
        return self.cookies.keeping(browser, see_other(url))

    @endpoint("GET", ARRIVAL_PATH, auth=Auth.NONE, limit="web_page")
    async def ask_which_account(self, request: Request[None]) -> Response:
        try:
            browser, pending = await self._find(request, request.query.string("pending", ""))
            return await self._which_account(browser, pending)
        except errors.MatrixError as error:
            return problem(error)

    @endpoint("POST", CREATE_PATH, auth=Auth.NONE, limit="registration", max_body_bytes=MAX_FORM_BYTES)
    async def make_account(self, request: Request[None]) -> Response:
        """He is somebody new, with a name of his choice."""
        form = await read_form(request)

        async def settle(browser: Browser, pending: Pending) -> tuple[Browser, str]:
            name = form.get("name", "").strip()
            return await self.sign_in.with_name(browser, pending, name, request.remote_address)

        return await self._settle(request, form, settle)

    @endpoint("POST", ARRIVAL_PATH, auth=Auth.NONE, limit="login", max_body_bytes=MAX_FORM_BYTES)
    async def link_account(self, request: Request[None]) -> Response:
        """The account is his already: its password says so, and its second factor where it has one."""
        form = await read_form(request)

        async def settle(browser: Browser, pending: Pending) -> tuple[Browser, str]:
            await self.sign_in.wanted_name(pending)
            user_id = await self.password.check(
                form.get("user", "").strip(), form.get("password", ""), form.get("code", "").strip(), request.remote_address
            )  # fmt: skip
            return await self.sign_in.with_account(browser, pending, user_id, request.remote_address)

        return await self._settle(request, form, settle)

    async def _settle(self, request: Request[None], form: dict[str, str], settle: Settle) -> Response:
        try:
            browser, pending = await self._find(request, form.get("pending", ""))
            browser.check_csrf(form.get("csrf"))
        except errors.MatrixError as error:
            return problem(error)
        try:
            browser, url = await settle(browser, pending)
        except errors.NotFound as error:
            return problem(error)
        except errors.MatrixError as error:
            return await self._which_account(browser, pending, error.message, error.status)
        return self.cookies.keeping(browser, see_other(url))

    @endpoint(
        "POST",
        f"{PROVIDER_PATH}/{{provider_id}}/logout",
        auth=Auth.NONE,
        limit="login",
        max_body_bytes=MAX_LOGOUT_BYTES,
    )
    async def log_out(self, request: Request[None]) -> Response:
        """The provider says that a session is over (OpenID Connect Back-Channel Logout 1.0, section 2.5)."""
        client = self.sign_in.clients.get(request.path["provider_id"])
        token = (await read_form(request)).get("logout_token", "")
        try:
            if not isinstance(client, OidcClient):
                raise errors.NotFound("There is no such provider here")
            claims = await client.signed_out(token)
        except errors.MatrixError as error:
            # "If the logout request was invalid, the RP MUST respond with HTTP 400 Bad Request."
            return Json(400, {"error": "invalid_request", "error_description": error.message}, NO_STORE)
        await self.sign_in.origins.logged_out(client.provider.id, claims, token, request.remote_address)
        return Json(200, {}, NO_STORE)

    async def _find(self, request: Request[None], pending_id: str) -> tuple[Browser, Pending]:
        browser = await self.browsers.find(self.cookies.sent(request))
        pending = await self.browsers.pending(browser, pending_id)
        assert browser is not None
        return browser, pending

    async def _which_account(
        self, browser: Browser, pending: Pending, problem_text: str = "", status: int = 200
    ) -> Raw:
        provider, wanted = await self.sign_in.wanted_name(pending)
        name, hidden = html.escape(wanted.localpart or ""), hidden_fields(browser, pending)
        server = html.escape(self.server_name)
        said = f"The name {wanted.localpart} is taken on {self.server_name}." if wanted.is_taken else ""
        new = f"""<h2>I am new here</h2>
<form method="post" action="{CREATE_PATH}">
{hidden}
<label>Choose a user name
<input name="name" autocapitalize="none" spellcheck="false" maxlength="200" required></label>
<button>Make my account</button>
</form>"""
        content = f"""<h1>Which account is yours?</h1>
{message(f"You have signed in with {provider.name}. {said}")}
{alert(problem_text)}
<h2>I have an account on {server}</h2>
<form method="post" action="{ARRIVAL_PATH}">
{hidden}
<label>User name
<input name="user" value="{name}" autocomplete="username" autocapitalize="none" required></label>
<label>Password of that account
<input name="password" type="password" autocomplete="current-password" required></label>
<label>Code of your authenticator app, if you have one
<input name="code" autocomplete="one-time-code"></label>
<button>It is mine</button>
</form>
{new if provider.policy.registers else ""}"""
        return page(TITLE, content, status)


def problem(error: errors.MatrixError) -> Raw:
    """What went wrong, for people."""
    return page(TITLE, f"<h1>That did not work</h1>\n{alert(error.message)}", error.status)

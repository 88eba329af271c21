"""/_voicechat/sign-in: the page on which people say who they are, before they go on with what they came for."""

from __future__ import annotations

import html
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from homeserver.http.endpoint import Auth, endpoint
from homeserver.http.pages import MAX_FORM_BYTES, alert, message, page, read_form
from homeserver.http.request import Request
from homeserver.http.responses import Raw, Response
from homeserver.http.web.cookies import Cookies, see_other
from homeserver.protocol import errors
from homeserver.services.browser_sessions.browser import Browser, Pending
from homeserver.services.browser_sessions.browser_sessions import SIGN_IN_PATH, BrowserSessions
from homeserver.services.browser_sessions.methods import REGISTER_PATH, SignInMethods
from homeserver.services.browser_sessions.password_sign_in import PasswordSignIn

TITLE = "VoiceChat: sign in"
CODE_PATH = f"{SIGN_IN_PATH}/code"
OTHER_PATH = f"{SIGN_IN_PATH}/other"

Step = Callable[[Browser, Pending, dict[str, str], str], Awaitable[tuple[Browser, Pending]]]


@dataclass(frozen=True, slots=True)
class SignInPages:
    """Works without scripts. The pending in the address is good in this browser only."""

    browsers: BrowserSessions
    password: PasswordSignIn
    methods: SignInMethods
    cookies: Cookies
    server_name: str

    @endpoint("GET", SIGN_IN_PATH, auth=Auth.NONE, limit="web_page")
    async def show(self, request: Request[None]) -> Response:
        try:
            browser, pending = await self._find(request, request.query.string("pending", ""))
        except errors.NotFound as error:
            return page(TITLE, message(error.message), error.status)
        if pending.is_satisfied_by(browser):
            return see_other(await self.browsers.continue_(browser, pending))
        return self._form(browser, pending)

    @endpoint("POST", SIGN_IN_PATH, auth=Auth.NONE, limit="login", max_body_bytes=MAX_FORM_BYTES)
    async def submit(self, request: Request[None]) -> Response:
        return await self._step(request, self._with_password)

    @endpoint("POST", CODE_PATH, auth=Auth.NONE, limit="login", max_body_bytes=MAX_FORM_BYTES)
    async def submit_code(self, request: Request[None]) -> Response:
        return await self._step(request, self._with_code)

    @endpoint("POST", OTHER_PATH, auth=Auth.NONE, limit="web_form", max_body_bytes=MAX_FORM_BYTES)
    async def become_another(self, request: Request[None]) -> Response:
        """ "Not you?": the same errand, in a browser in which nobody is signed in."""
        form = await read_form(request)
        try:
            browser, pending = await self._find(request, form.get("pending", ""))
            browser.check_csrf(form.get("csrf"))
        except (errors.NotFound, errors.Forbidden) as error:
            return page(TITLE, message(error.message), error.status)
        await self.browsers.sign_out(browser)
        stranger = await self.browsers.meet(None)
        again = await self.browsers.begin(stranger, pending.kind, pending.memory, fresh=bool(pending.fresh_since_ms))
        return self.cookies.keeping(stranger, see_other(await self.browsers.continue_(stranger, again)))

    async def _find(self, request: Request[None], pending_id: str) -> tuple[Browser, Pending]:
        browser = await self.browsers.find(self.cookies.sent(request))
        pending = await self.browsers.pending(browser, pending_id)
        assert browser is not None
        return browser, pending

    async def _step(self, request: Request[None], step: Step) -> Response:
        form = await read_form(request)
        try:
            browser, pending = await self._find(request, form.get("pending", ""))
        except errors.NotFound as error:
            return page(TITLE, message(error.message), error.status)
        try:
            browser.check_csrf(form.get("csrf"))
            browser, pending = await step(browser, pending, form, request.remote_address)
        except errors.MatrixError as error:
            return self._form(browser, pending, form.get("user", ""), error.message, error.status)
        if pending.half is not None:
            return self._form(browser, pending)
        return self.cookies.keeping(browser, see_other(await self.browsers.continue_(browser, pending)))

    async def _with_password(
        self, browser: Browser, pending: Pending, form: dict[str, str], address: str
    ) -> tuple[Browser, Pending]:
        if not self.methods.has_password:
            raise errors.Forbidden("Nobody signs in with a password here")
        user, password = form.get("user", "").strip(), form.get("password", "")
        return await self.password.with_password(browser, pending, user, password, address)

    async def _with_code(
        self, browser: Browser, pending: Pending, form: dict[str, str], address: str
    ) -> tuple[Browser, Pending]:
        return await self.password.with_code(browser, pending, form.get("code", "").strip(), address)

    def _form(self, browser: Browser, pending: Pending, user: str = "", problem: str = "", status: int = 200) -> Raw:
        if pending.half is not None:
            return page(TITLE, _code_form(browser, pending, problem), status)
        providers = "".join(
            f'<p><a class="button" href="{html.escape(each.start_url)}?pending={pending.pending_id}">'
            f"Continue with {html.escape(each.name)}</a></p>\n"
            for each in self.methods.providers
        )
        password = _password_form(browser, pending, user or browser.user_id or "") if self.methods.has_password else ""
        again = message("Please confirm that it is you.") if browser.user_id else ""
        new = f'<p><a href="{REGISTER_PATH}?pending={pending.pending_id}">Make an account</a></p>'
        further = providers + (new if self.methods.can_register and browser.user_id is None else "")
        content = f"<h1>Sign in to {html.escape(self.server_name)}</h1>\n{again}{alert(problem)}\n{password}{further}"
        return page(TITLE, content, status)


def hidden_fields(browser: Browser, pending: Pending) -> str:
    """What every form about a pending carries."""
    return (
        f'<input type="hidden" name="pending" value="{html.escape(pending.pending_id)}">\n'
        f'<input type="hidden" name="csrf" value="{browser.csrf}">'
    )


def other_account_form(browser: Browser, pending: Pending) -> str:
    """ "Not you?" """
    return f"""<form method="post" action="{OTHER_PATH}">
{hidden_fields(browser, pending)}
<button class="quiet">Use another account</button>
</form>"""


def _password_form(browser: Browser, pending: Pending, user: str) -> str:
    return f"""<form method="post" action="{SIGN_IN_PATH}">
{hidden_fields(browser, pending)}
<label>User name or e-mail address
<input name="user" value="{html.escape(user)}" autocomplete="username" autocapitalize="none" required autofocus>
</label>
<label>Password
<input name="password" type="password" autocomplete="current-password" required>
</label>
<button>Sign in</button>
</form>
"""


def _code_form(browser: Browser, pending: Pending, problem: str) -> str:
    return f"""<h1>One more step</h1>
{alert(problem)}
<form method="post" action="{CODE_PATH}">
{hidden_fields(browser, pending)}
<label>Code from your authenticator app, or a recovery code
<input name="code" autocomplete="one-time-code" autocapitalize="none" spellcheck="false" required autofocus>
</label>
<button>Continue</button>
</form>"""

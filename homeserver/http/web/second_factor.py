"""/_voicechat/account/second-factor: the page on which people give their account a second factor."""

from __future__ import annotations

import html
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

from homeserver.http.endpoint import Auth, endpoint
from homeserver.http.pages import MAX_FORM_BYTES, alert, message, page, read_form
from homeserver.http.request import Request
from homeserver.http.responses import Raw, Response
from homeserver.http.web.cookies import Cookies, see_other
from homeserver.http.web.sign_in import hidden_fields
from homeserver.protocol import errors
from homeserver.services.browser_sessions.browser import Browser, Pending
from homeserver.services.browser_sessions.browser_sessions import SIGN_IN_PATH, BrowserSessions
from homeserver.services.second_factor.second_factor import Offer, SecondFactor

KIND: Final = "second_factor"
PATH: Final = "/_voicechat/account/second-factor"
TITLE: Final = "VoiceChat: second factor"
HEADING: Final = "<h1>Second factor</h1>"
WHAT_IT_IS: Final = (
    "With a second factor, nobody signs in with your password alone: a code of an app on your phone is needed \
too. Any authenticator app will do."
)

Step = Callable[[Browser, Pending, dict[str, str], str], Awaitable[Raw]]


@dataclass(frozen=True, slots=True)
class SecondFactorPages:
    """Who comes here has signed in lately: with his password, and with a code where he has a second factor."""

    browsers: BrowserSessions
    factor: SecondFactor
    cookies: Cookies

    @endpoint("GET", PATH, auth=Auth.NONE, limit="web_page")
    async def show(self, request: Request[None]) -> Response:
        if not (pending_id := request.query.string("pending", "")):
            browser = await self.browsers.meet(self.cookies.sent(request))
            pending = await self.browsers.begin(browser, KIND, {}, fresh=True)
            return self.cookies.keeping(browser, see_other(await self.browsers.continue_(browser, pending)))
        try:
            browser, pending = await self._find(request, pending_id)
        except errors.MatrixError as error:
            return page(TITLE, message(error.message), error.status)
        if not pending.is_satisfied_by(browser):
            return see_other(await self.browsers.continue_(browser, pending))
        return await self._overview(browser, pending)

    @endpoint("POST", f"{PATH}/offer", auth=Auth.NONE, limit="web_form", max_body_bytes=MAX_FORM_BYTES)
    async def offer(self, request: Request[None]) -> Response:
        return await self._do(request, self._offer)

    @endpoint("POST", f"{PATH}/enrol", auth=Auth.NONE, limit="web_form", max_body_bytes=MAX_FORM_BYTES)
    async def enrol(self, request: Request[None]) -> Response:
        return await self._do(request, self._enrol)

    @endpoint("POST", f"{PATH}/recovery-codes", auth=Auth.NONE, limit="web_form", max_body_bytes=MAX_FORM_BYTES)
    async def new_recovery_codes(self, request: Request[None]) -> Response:
        return await self._do(request, self._new_recovery_codes)

    @endpoint("POST", f"{PATH}/remove", auth=Auth.NONE, limit="web_form", max_body_bytes=MAX_FORM_BYTES)
    async def remove(self, request: Request[None]) -> Response:
        return await self._do(request, self._remove)

    async def continue_(self, browser: Browser, pending: Pending) -> str:
        """Continuation of `KIND`."""
        return f"{PATH}?pending={pending.pending_id}"

    async def gate(self, browser: Browser, pending: Pending) -> str | None:
        """Of who has to have a second factor: this first, and then what he came for."""
        # Whoever signs in with a provider has whatever factors the provider asks for.
        if pending.kind == KIND or any(each.startswith("sso:") for each in browser.methods):
            return None
        if not await self.factor.must_enrol(browser.require_user()):
            return None
        detour = await self.browsers.begin(browser, KIND, {"then": pending.pending_id}, fresh=True)
        return await self.browsers.continue_(browser, detour)

    async def _find(self, request: Request[None], pending_id: str) -> tuple[Browser, Pending]:
        browser = await self.browsers.find(self.cookies.sent(request))
        pending = await self.browsers.pending(browser, pending_id, KIND)
        assert browser is not None
        return browser, pending

    async def _do(self, request: Request[None], step: Step) -> Response:
        form = await read_form(request)
        try:
            browser, pending = await self._find(request, form.get("pending", ""))
            browser.check_csrf(form.get("csrf"))
            if not pending.is_satisfied_by(browser):
                raise errors.Forbidden("You are not signed in")
            return await step(browser, pending, form, request.remote_address)
        except errors.MatrixError as error:
            return page(TITLE, alert(error.message), error.status)

    async def _overview(self, browser: Browser, pending: Pending) -> Raw:
        status, fields = await self.factor.status(browser.require_user()), hidden_fields(browser, pending)
        if status.enrolled_ms is None:
            wanted = message("This server wants a second factor of your account.") if status.is_required else ""
            return page(TITLE, f"{HEADING}\n{wanted}{message(WHAT_IT_IS)}{_button('offer', fields, 'Set up')}")
        left = message(f"Your account has a second factor. Recovery codes left: {status.recovery_codes}.")
        buttons = _button("recovery-codes", fields, "New recovery codes") + _button("offer", fields, "Use another app")
        buttons += "" if status.is_required else _button("remove", fields, "Remove the second factor")
        return page(TITLE, f"{HEADING}\n{left}{buttons}{_onward(pending)}")

    async def _offer(self, browser: Browser, pending: Pending, form: dict[str, str], address: str) -> Raw:
        return _offer_page(browser, pending, await self.factor.offer(browser.require_user()))

    async def _enrol(self, browser: Browser, pending: Pending, form: dict[str, str], address: str) -> Raw:
        user_id = browser.require_user()
        try:
            recovery = await self.factor.enrol(user_id, form.get("code", ""), address)
        except errors.Forbidden as error:
            offered = await self.factor.offered(user_id)
            if offered is None:
                raise
            return _offer_page(browser, pending, offered, error.message, error.status)
        # Whoever is signed in there has shown a password only.
        await self.browsers.sign_out_elsewhere(browser)
        methods = (*browser.methods, self.factor.name)
        browser, pending = await self.browsers.signed_in(browser, pending, user_id, methods, address)
        return self.cookies.keeping(browser, _recovery_page(pending, recovery))

    async def _new_recovery_codes(self, browser: Browser, pending: Pending, form: dict[str, str], address: str) -> Raw:
        return _recovery_page(pending, await self.factor.new_recovery_codes(browser.require_user(), address))

    async def _remove(self, browser: Browser, pending: Pending, form: dict[str, str], address: str) -> Raw:
        await self.factor.remove(browser.require_user(), address)
        return await self._overview(browser, pending)


def _button(action: str, fields: str, label: str) -> str:
    return f'<form method="post" action="{PATH}/{action}">\n{fields}\n<p><button>{label}</button></p>\n</form>\n'


def _offer_page(browser: Browser, pending: Pending, offer: Offer, problem: str = "", status: int = 200) -> Raw:
    content = f"""<h1>Scan this with your app</h1>
{alert(problem)}
{offer.qr_svg}
<p>Or <a href="{html.escape(offer.uri)}">open it on this device</a>, or type the key: <code>{_in_fours(offer.secret)}</code></p>
<form method="post" action="{PATH}/enrol">
{hidden_fields(browser, pending)}
<label>The code that the app shows now
<input name="code" inputmode="numeric" autocomplete="one-time-code" required></label>
<button>Turn on</button>
</form>"""
    return page(TITLE, content, status)


def _recovery_page(pending: Pending, recovery: list[str]) -> Raw:
    listed = "".join(f"<li><code>{code}</code></li>\n" for code in recovery)
    content = f"""<h1>Your recovery codes</h1>
<p>Write them down: they are not shown again. Should you lose your phone, each lets you in once, in place of a code of the app.
Earlier ones are good no more.</p>
<ol>
{listed}</ol>
{_onward(pending)}"""
    return page(TITLE, content)


def _onward(pending: Pending) -> str:
    then = pending.memory.get("then")
    if not isinstance(then, str):
        return ""
    return f'<p><a class="button" href="{SIGN_IN_PATH}?pending={html.escape(then)}">Continue</a></p>'


def _in_fours(secret: str) -> str:
    return " ".join(secret[start : start + 4] for start in range(0, len(secret), 4))

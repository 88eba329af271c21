"""/_voicechat/account: what people do with their own account in a browser."""

from __future__ import annotations

import html
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime

from homeserver.http.endpoint import Auth, endpoint
from homeserver.http.pages import MAX_FORM_BYTES, alert, message, page, read_form
from homeserver.http.request import Request
from homeserver.http.responses import Raw, Response
from homeserver.http.web.cookies import Cookies, see_other
from homeserver.http.web.detours import detour
from homeserver.http.web.sign_in import hidden_fields
from homeserver.protocol import errors
from homeserver.services.browser_sessions.browser import Browser, Pending
from homeserver.services.browser_sessions.browser_sessions import BrowserSessions
from homeserver.services.oauth.account_pages import (
    CROSS_SIGNING_RESET,
    DEACTIVATE,
    DEVICE_DELETE,
    DEVICE_VIEW,
    DEVICES_LIST,
    KIND,
    PASSWORD,
    PROFILE,
    AccountPages,
    ShownDevice,
)
from homeserver.services.oauth.metadata import ACCOUNT

TITLE = "VoiceChat: your account"
VIEW = f"{ACCOUNT}/view"
NO_PASSWORD = "<h1>Your password</h1>\n<p>Your password is not kept here: change it where you sign in.</p>"

Change = Callable[[Browser, Pending, dict[str, str], str], Awaitable[str]]


@dataclass(frozen=True, slots=True)
class AccountLink:
    """A further page about the account, of another part."""

    text: str
    path: str


@dataclass(frozen=True, slots=True)
class AccountEndpoints:
    """Forms carry the pending: what is dangerous asks for a sign-in that is not old."""

    account: AccountPages
    browsers: BrowserSessions
    cookies: Cookies
    links: list[AccountLink] = field(default_factory=list)

    @endpoint("GET", ACCOUNT, auth=Auth.NONE, limit="web_page")
    async def open(self, request: Request[None]) -> Response:
        browser = await self.browsers.meet(self.cookies.sent(request))
        action, device_id = request.query.string("action", ""), request.query.string("device_id", "")
        pending = await self.account.begin(browser, action, device_id)
        return self.cookies.keeping(browser, see_other(await self.browsers.continue_(browser, pending)))

    @endpoint("GET", VIEW, auth=Auth.NONE, limit="web_page")
    async def view(self, request: Request[None]) -> Response:
        try:
            browser, pending = await self._find(request, request.query.string("pending", ""))
        except errors.NotFound as error:
            return page(TITLE, message(error.message), error.status)
        return await detour(self.browsers, browser, pending, VIEW) or await self._show(browser, pending)

    @endpoint("POST", f"{ACCOUNT}/profile", auth=Auth.NONE, limit="web_form", max_body_bytes=MAX_FORM_BYTES)
    async def change_profile(self, request: Request[None]) -> Response:
        return await self._change(request, self._set_name)

    @endpoint("POST", f"{ACCOUNT}/device", auth=Auth.NONE, limit="web_form", max_body_bytes=MAX_FORM_BYTES)
    async def sign_out_device(self, request: Request[None]) -> Response:
        return await self._change(request, self._sign_out_device)

    @endpoint("POST", f"{ACCOUNT}/devices", auth=Auth.NONE, limit="web_form", max_body_bytes=MAX_FORM_BYTES)
    async def sign_out_all_devices(self, request: Request[None]) -> Response:
        return await self._change(request, self._sign_out_all)

    @endpoint("POST", f"{ACCOUNT}/password", auth=Auth.NONE, limit="web_form", max_body_bytes=MAX_FORM_BYTES)
    async def change_password(self, request: Request[None]) -> Response:
        return await self._change(request, self._change_password)

    @endpoint("POST", f"{ACCOUNT}/deactivate", auth=Auth.NONE, limit="web_form", max_body_bytes=MAX_FORM_BYTES)
    async def deactivate(self, request: Request[None]) -> Response:
        return await self._change(request, self._deactivate)

    @endpoint("POST", f"{ACCOUNT}/cross-signing", auth=Auth.NONE, limit="web_form", max_body_bytes=MAX_FORM_BYTES)
    async def reset_cross_signing(self, request: Request[None]) -> Response:
        return await self._change(request, self._allow_reset)

    @endpoint("POST", f"{ACCOUNT}/sign-out", auth=Auth.NONE, limit="web_form", max_body_bytes=MAX_FORM_BYTES)
    async def sign_out(self, request: Request[None]) -> Response:
        form = await read_form(request)
        try:
            browser, _ = await self._find(request, form.get("pending", ""))
            browser.check_csrf(form.get("csrf"))
        except errors.MatrixError as error:
            return page(TITLE, message(error.message), error.status)
        await self.browsers.sign_out(browser)
        return self.cookies.dropping(page(TITLE, message("You are signed out in this browser.")))

    async def _find(self, request: Request[None], pending_id: str) -> tuple[Browser, Pending]:
        browser = await self.browsers.find(self.cookies.sent(request))
        pending = await self.browsers.pending(browser, pending_id, KIND)
        assert browser is not None
        return browser, pending

    async def _change(self, request: Request[None], change: Change) -> Response:
        """`change` returns what it has to say."""
        form = await read_form(request)
        try:
            browser, pending = await self._find(request, form.get("pending", ""))
        except errors.NotFound as error:
            return page(TITLE, message(error.message), error.status)
        if first := await detour(self.browsers, browser, pending, VIEW):
            return first
        try:
            browser.check_csrf(form.get("csrf"))
            done = await change(browser, pending, form, request.remote_address)
        except errors.MatrixError as error:
            return await self._show(browser, pending, error.message, error.status)
        again = f'<p><a href="{ACCOUNT}">Your account</a></p>'
        return page(TITLE, f"<h1>Done</h1>\n{message(done)}\n{again}")

    async def _set_name(self, browser: Browser, pending: Pending, form: dict[str, str], address: str) -> str:
        await self.account.set_display_name(browser, form.get("displayname", "").strip())
        return "You have another name now."

    async def _sign_out_device(self, browser: Browser, pending: Pending, form: dict[str, str], address: str) -> str:
        await self.account.sign_out_device(browser, form.get("device_id", ""), address)
        return "The device is signed out."

    async def _sign_out_all(self, browser: Browser, pending: Pending, form: dict[str, str], address: str) -> str:
        await self.account.sign_out_all_devices(browser, address)
        return "All your devices are signed out."

    async def _change_password(self, browser: Browser, pending: Pending, form: dict[str, str], address: str) -> str:
        new_password = form.get("new_password", "")
        if new_password != form.get("again", ""):
            raise errors.InvalidParam("The two passwords are not the same")
        logout = "logout_devices" in form
        await self.account.change_password(browser, pending, new_password, address, logout_devices=logout)
        return "You have another password now. Sign in with it in your browsers."

    async def _deactivate(self, browser: Browser, pending: Pending, form: dict[str, str], address: str) -> str:
        if form.get("user_id", "").strip() != browser.user_id:
            raise errors.InvalidParam("To end your account, type your Matrix id exactly")
        await self.account.deactivate(browser, pending, address, erase="erase" in form)
        return "Your account has ended."

    async def _allow_reset(self, browser: Browser, pending: Pending, form: dict[str, str], address: str) -> str:
        await self.account.allow_reset(browser, pending, address)
        return "Go back to your application within ten minutes: it may make new keys now."

    async def _show(self, browser: Browser, pending: Pending, problem: str = "", status: int = 200) -> Raw:
        match pending.memory["action"]:
            case "org.matrix.profile":
                content = _profile(browser, pending, await self.account.display_name(browser))
            case "org.matrix.devices_list":
                content = _devices(browser, pending, await self.account.list_devices(browser))
            case "org.matrix.device_view" | "org.matrix.device_delete":
                content = await self._device(browser, pending)
            case "org.voicechat.password":
                content = _password(browser, pending) if await self.account.has_password(browser) else NO_PASSWORD
            case "org.matrix.account_deactivate":
                content = _deactivation(browser, pending)
            case "org.matrix.cross_signing_reset":
                content = _reset(browser, pending)
            case _:
                content = self._overview(browser, pending)
        return page(TITLE, alert(problem) + content, status)

    async def _device(self, browser: Browser, pending: Pending) -> str:
        shown = await self.account.list_devices(browser)
        found = [each for each in shown if each.device.device_id == pending.memory["device_id"]]
        if not found:
            return f"<h1>No such device</h1>\n{message('It is signed out already.')}\n{_links()}"
        question = "Sign this device out?" if pending.memory["action"] == DEVICE_DELETE else "Your device"
        return f"<h1>{question}</h1>\n{_device(browser, pending, found[0])}\n{_links()}"

    def _overview(self, browser: Browser, pending: Pending) -> str:
        further = "".join(
            f'<p><a href="{html.escape(each.path)}">{html.escape(each.text)}</a></p>\n' for each in self.links
        )
        return f"""<h1>Your account</h1>
<p>You are <strong>{html.escape(browser.require_user())}</strong>.</p>
<p><a href="{ACCOUNT}?action={PROFILE}">Your name</a></p>
<p><a href="{ACCOUNT}?action={DEVICES_LIST}">Your devices</a></p>
<p><a href="{ACCOUNT}?action={PASSWORD}">Your password</a></p>
{further}<p><a href="{ACCOUNT}?action={CROSS_SIGNING_RESET}">New keys, if you have lost yours</a></p>
<p><a href="{ACCOUNT}?action={DEACTIVATE}">End your account</a></p>
<form method="post" action="{ACCOUNT}/sign-out">
{hidden_fields(browser, pending)}
<button class="quiet">Sign out in this browser</button>
</form>"""


def _links() -> str:
    return f'<p><a href="{ACCOUNT}">Your account</a></p>'


def _profile(browser: Browser, pending: Pending, name: str) -> str:
    return f"""<h1>Your name</h1>
<form method="post" action="{ACCOUNT}/profile">
{hidden_fields(browser, pending)}
<label>What others see
<input name="displayname" value="{html.escape(name)}" autocomplete="nickname" maxlength="256">
</label>
<button>Change</button>
</form>
{_links()}"""


def _password(browser: Browser, pending: Pending) -> str:
    return f"""<h1>Your password</h1>
<form method="post" action="{ACCOUNT}/password">
{hidden_fields(browser, pending)}
<label>New password
<input name="new_password" type="password" autocomplete="new-password" required>
</label>
<label>New password, once more
<input name="again" type="password" autocomplete="new-password" required>
</label>
<label><input type="checkbox" name="logout_devices" value="yes" checked> Sign out all my devices</label>
<button>Change my password</button>
</form>
{_links()}"""


def _devices(browser: Browser, pending: Pending, devices: list[ShownDevice]) -> str:
    items = "\n".join(_device(browser, pending, each) for each in devices)
    everywhere = f"""<form method="post" action="{ACCOUNT}/devices">
{hidden_fields(browser, pending)}
<button class="quiet">Sign out all devices</button>
</form>"""
    listed = f"{items}\n{everywhere}" if devices else message("No device is signed in.")
    return f"<h1>Your devices</h1>\n{listed}\n{_links()}"


def _device(browser: Browser, pending: Pending, shown: ShownDevice) -> str:
    device = shown.device
    name = device.display_name or device.device_id
    application = f" with {html.escape(shown.application)}" if shown.application else ""
    view = f"{ACCOUNT}?action={DEVICE_VIEW}&amp;device_id={html.escape(device.device_id)}"
    return f"""<section aria-label="{html.escape(name)}">
<h2><a href="{view}">{html.escape(name)}</a></h2>
<p>Device {html.escape(device.device_id)}{application}, last seen {_time(device.last_seen_ms)} from
{html.escape(device.last_seen_ip or "somewhere")}.</p>
<form method="post" action="{ACCOUNT}/device">
{hidden_fields(browser, pending)}
<input type="hidden" name="device_id" value="{html.escape(device.device_id)}">
<button>Sign out {html.escape(name)}</button>
</form>
</section>"""


def _time(at_ms: int | None) -> str:
    return "never" if at_ms is None else datetime.fromtimestamp(at_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M UTC")


def _deactivation(browser: Browser, pending: Pending) -> str:
    return f"""<h1>End your account?</h1>
<p>You leave all rooms, all your devices are signed out, and nobody can have your name again. This cannot be undone.</p>
<form method="post" action="{ACCOUNT}/deactivate">
{hidden_fields(browser, pending)}
<label>Your Matrix id, to be sure
<input name="user_id" autocomplete="off" autocapitalize="none" spellcheck="false" required>
</label>
<label><input type="checkbox" name="erase" value="yes"> Hide what I have written from people who come later</label>
<button>End my account</button>
</form>
{_links()}"""


def _reset(browser: Browser, pending: Pending) -> str:
    return f"""<h1>New keys?</h1>
<p>Do this only if you have lost all your devices and your recovery key: people who have verified you will be
warned, and old messages may stay unreadable.</p>
<form method="post" action="{ACCOUNT}/cross-signing">
{hidden_fields(browser, pending)}
<button>Let my application make new keys</button>
</form>
{_links()}"""

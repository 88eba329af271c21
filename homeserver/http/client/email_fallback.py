"""The stage m.login.email.identity in a browser: ask for the address, send the mail, wait until its link was used."""

from __future__ import annotations

import html
import secrets
from dataclasses import dataclass

from homeserver.http.client.auth_fallback import DONE_SCRIPT, TITLE
from homeserver.http.endpoint import Auth, endpoint
from homeserver.http.pages import MAX_FORM_BYTES, alert, message, page, read_form
from homeserver.http.request import Request
from homeserver.http.responses import Raw, Response
from homeserver.protocol import errors
from homeserver.services.threepids.request_mail import MailRequest, RequestMail
from homeserver.services.threepids.stage import EMAIL_IDENTITY, PURPOSES
from homeserver.services.ui_auth.ui_auth import UiAuth

PATH = f"/_matrix/client/v3/auth/{EMAIL_IDENTITY}/fallback/web"


@dataclass(frozen=True, slots=True)
class EmailFallbackEndpoints:
    """The session's id is the only way in. The page itself keeps what proves that it asked for the mail."""

    ui_auth: UiAuth
    request_mail: RequestMail

    @endpoint("GET", PATH, auth=Auth.NONE, limit="login")
    async def show(self, request: Request[None]) -> Response:
        session_id = request.query.required("session")
        if await self._purpose(session_id) is None:
            return _gone()
        return _ask_for_address(session_id)

    @endpoint("POST", PATH, auth=Auth.NONE, limit="mail", max_body_bytes=MAX_FORM_BYTES)
    async def submit(self, request: Request[None]) -> Response:
        form = await read_form(request)
        session_id = form.get("session", "")
        purpose = await self._purpose(session_id)
        if purpose is None:
            return _gone()
        if "sid" in form:
            return await self._finish(session_id, form["sid"], form.get("secret", ""), request.remote_address)
        return await self._send(session_id, purpose, form.get("email", ""))

    async def _purpose(self, session_id: str) -> str | None:
        session = await self.ui_auth.peek(session_id)
        return None if session is None else PURPOSES.get(session.operation.rpartition(" ")[0])

    async def _send(self, session_id: str, purpose: str, email: str) -> Raw:
        secret = secrets.token_urlsafe(18)
        try:
            sid = await self.request_mail(purpose, MailRequest(secret, email, send_attempt=1))
        except errors.MatrixError as error:
            return _ask_for_address(session_id, error.message, error.status)
        return _wait(session_id, sid, secret)

    async def _finish(self, session_id: str, sid: str, secret: str, ip: str) -> Raw:
        auth = {"threepid_creds": {"sid": sid, "client_secret": secret}}
        try:
            await self.ui_auth.complete_in_browser(session_id, EMAIL_IDENTITY, auth, ip)
        except errors.Unauthorized as error:
            return _wait(session_id, sid, secret, error.message, error.status)
        except errors.MatrixError as error:
            return _ask_for_address(session_id, error.message, error.status)
        return page(TITLE, message("Thank you. You can close this window."), script=DONE_SCRIPT)


def _gone() -> Raw:
    return page(TITLE, message("This confirmation is not asked for (any more)."), 404)


def _ask_for_address(session_id: str, problem: str = "", status: int = 200) -> Raw:
    content = f"""<h1>Your e-mail address</h1>
<p>You get a mail with a link.</p>
{alert(problem)}
<form method="post">
<input type="hidden" name="session" value="{html.escape(session_id)}">
<label>E-mail address
<input name="email" type="email" autocomplete="email" required autofocus></label>
<button>Send the mail</button>
</form>"""
    return page(TITLE, content, status)


def _wait(session_id: str, sid: str, secret: str, problem: str = "", status: int = 200) -> Raw:
    content = f"""<h1>Look for the mail</h1>
<p>Open the link in it and press the button there. Then come back to this page.</p>
{alert(problem)}
<form method="post">
<input type="hidden" name="session" value="{html.escape(session_id)}">
<input type="hidden" name="sid" value="{html.escape(sid)}">
<input type="hidden" name="secret" value="{html.escape(secret)}">
<button>Continue</button>
</form>"""
    return page(TITLE, content, status)

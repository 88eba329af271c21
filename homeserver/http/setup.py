"""/setup: the page behind the one-time link, where the first administrator makes his account. It needs no script."""

from __future__ import annotations

import html
from dataclasses import dataclass

from homeserver.http.endpoint import Auth, endpoint
from homeserver.http.pages import MAX_FORM_BYTES, alert, message, page, read_form
from homeserver.http.request import Request
from homeserver.http.responses import Response
from homeserver.protocol import errors
from homeserver.services.registration.setup_link import PATH, SetupLinks

TITLE = "VoiceChat: the first account"


@dataclass(frozen=True, slots=True)
class SetupEndpoints:
    """The link's token is the only way in."""

    links: SetupLinks

    @endpoint("GET", PATH, auth=Auth.NONE, limit="registration")
    async def show(self, request: Request[None]) -> Response:
        token = request.query.string("token", "")
        try:
            await self.links.check(token)
        except errors.Forbidden as error:
            return page(TITLE, message(error.message), error.status)
        return page(TITLE, _form(token))

    @endpoint("POST", PATH, auth=Auth.NONE, limit="registration", max_body_bytes=MAX_FORM_BYTES)
    async def submit(self, request: Request[None]) -> Response:
        form = await read_form(request)
        token, username = form.get("token", ""), form.get("username", "")
        if form.get("password", "") != form.get("again", ""):
            return page(TITLE, _form(token, username, "The two passwords are not the same."), 400)
        try:
            user_id = await self.links.use(token, username, form.get("password", ""), ip=request.remote_address)
        except errors.Forbidden as error:
            return page(TITLE, message(error.message), error.status)
        except errors.MatrixError as error:
            return page(TITLE, _form(token, username, error.message), error.status)
        return page(
            TITLE, message(f"{user_id} is the administrator of this server now. Sign in with any Matrix client.")
        )


def _form(token: str, username: str = "", problem: str = "") -> str:
    return f"""<h1>The first account</h1>
<p>It administrates this server.</p>
{alert(problem)}
<form method="post" action="{PATH}">
<input type="hidden" name="token" value="{html.escape(token)}">
<label>User name
<input name="username" value="{html.escape(username)}" autocomplete="username" autocapitalize="none" required autofocus>
</label>
<label>Password
<input name="password" type="password" autocomplete="new-password" required>
</label>
<label>Password, once more
<input name="again" type="password" autocomplete="new-password" required>
</label>
<button>Make the account</button>
</form>"""

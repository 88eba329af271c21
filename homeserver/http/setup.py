"""/setup: the page behind the one-time link, where the first administrator makes his account. It needs no script."""

from __future__ import annotations

import html
from dataclasses import dataclass
from urllib.parse import parse_qs

from homeserver.http.endpoint import Auth, endpoint
from homeserver.http.request import Request
from homeserver.http.responses import Raw, Response
from homeserver.protocol import errors
from homeserver.services.registration.setup_link import PATH, SetupLinks

MAX_FORM_BYTES = 16 * 1024
MAX_FORM_FIELDS = 10

# The token is in the address: it may go to no cache and into no Referer, and the page may be framed by nobody.
PAGE_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


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
            return _page(_message(error.message), error.status)
        return _page(_form(token))

    @endpoint("POST", PATH, auth=Auth.NONE, limit="registration", max_body_bytes=MAX_FORM_BYTES)
    async def submit(self, request: Request[None]) -> Response:
        form = await _read_form(request)
        token, username = form.get("token", ""), form.get("username", "")
        if form.get("password", "") != form.get("again", ""):
            return _page(_form(token, username, "The two passwords are not the same."), 400)
        try:
            user_id = await self.links.use(token, username, form.get("password", ""))
        except errors.Forbidden as error:
            return _page(_message(error.message), error.status)
        except errors.MatrixError as error:
            return _page(_form(token, username, error.message), error.status)
        return _page(_message(f"{user_id} is the administrator of this server now. Sign in with any Matrix client."))


async def _read_form(request: Request[None]) -> dict[str, str]:
    """The fields of a form, the first value of each. Raises InvalidParam where it is none."""
    body = b"".join([chunk async for chunk in request.stream()])
    try:
        fields = parse_qs(body.decode("ascii"), max_num_fields=MAX_FORM_FIELDS, errors="strict")
    except ValueError:
        raise errors.InvalidParam("This is not a form") from None
    return {name: values[0] for name, values in fields.items()}


def _page(content: str, status: int = 200) -> Raw:
    body = f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>VoiceChat: the first account</title>
<style>
body {{ font: 1.1rem/1.5 system-ui, sans-serif; max-width: 26rem; margin: 3rem auto; padding: 0 1rem; }}
label, input, button {{ display: block; width: 100%; box-sizing: border-box; font: inherit; }}
input {{ margin: .2rem 0 1rem; padding: .4rem; }}
button {{ padding: .5rem; }}
[role=alert] {{ color: #b00020; }}
</style>
</head>
<body>
<main>
{content}
</main>
</body>
</html>
"""
    return Raw(body.encode(), "text/html; charset=utf-8", status, PAGE_HEADERS)


def _message(text: str) -> str:
    return f"<p>{html.escape(text)}</p>"


def _form(token: str, username: str = "", problem: str = "") -> str:
    alert = f'<p role="alert">{html.escape(problem)}</p>' if problem else ""
    return f"""<h1>The first account</h1>
<p>It administrates this server.</p>
{alert}
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

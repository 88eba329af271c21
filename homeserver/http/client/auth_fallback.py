"""Stages of user-interactive authentication in a browser, for clients that do not know them ("Fallback")."""

from __future__ import annotations

import html
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from homeserver.http.endpoint import Auth, endpoint
from homeserver.http.pages import MAX_FORM_BYTES, alert, message, page, read_form
from homeserver.http.request import Request
from homeserver.http.responses import Raw, Response
from homeserver.protocol import errors
from homeserver.services.registration.terms import TERMS
from homeserver.services.second_factor.second_factor import STAGE as TOTP
from homeserver.services.ui_auth.stages import DUMMY, PASSWORD, RECAPTCHA, REGISTRATION_TOKEN
from homeserver.services.ui_auth.ui_auth import UiAuth

PATH = "/_matrix/client/v3/auth/{kind}/fallback/web"
TITLE = "VoiceChat: confirm"

# Word for word from the specification.
DONE_SCRIPT = """
if (window.onAuthDone) {
    window.onAuthDone();
} else if (window.opener && window.opener.postMessage) {
    window.opener.postMessage("authDone", "*");
}
"""
CAPTCHA_SOURCES = "https://www.recaptcha.net https://www.gstatic.com https://www.gstatic.cn"
# What the captcha calls its answer, and what the stage calls it.
CAPTCHA_FIELD = "g-recaptcha-response"

FIELDS: Mapping[str, str] = {
    DUMMY: "",
    PASSWORD: '<label>Password\n<input name="password" type="password" autocomplete="current-password" required></label>',
    REGISTRATION_TOKEN: '<label>Registration token\n<input name="token" autocomplete="off" required></label>',
    TOTP: '<label>Code from your authenticator app, or a recovery code\n<input name="code" autocomplete="one-time-code"'
    ' autocapitalize="none" spellcheck="false" required></label>',
}


@dataclass(frozen=True, slots=True)
class AuthFallbackEndpoints:
    """The session's id is the only way in; it ends within the hour."""

    ui_auth: UiAuth

    @endpoint("GET", PATH, auth=Auth.NONE, limit="login")
    async def show(self, request: Request[None]) -> Response:
        kind, session_id = request.path["kind"], request.query.required("session")
        if await self.ui_auth.peek(session_id) is None or not self._is_known(kind):
            return page(TITLE, message("This confirmation is not asked for (any more)."), 404)
        return self._form(kind, session_id)

    @endpoint("POST", PATH, auth=Auth.NONE, limit="login", max_body_bytes=MAX_FORM_BYTES)
    async def submit(self, request: Request[None]) -> Response:
        kind, form = request.path["kind"], await read_form(request)
        session_id = form.get("session", "")
        if kind == TERMS and self._is_known(kind) and "accepted" not in form:
            return self._form(kind, session_id, "To go on, you have to agree.", 400)
        auth = {name: form.get(name) for name in ("token", "password", "code")}
        auth["response"] = form.get(CAPTCHA_FIELD)
        try:
            await self.ui_auth.complete_in_browser(session_id, kind, auth, request.remote_address)
        except errors.NotFound as error:
            return page(TITLE, message(error.message), error.status)
        except errors.MatrixError as error:
            return self._form(kind, session_id, error.message, error.status)
        return page(TITLE, message("Thank you. You can close this window."), script=DONE_SCRIPT)

    def _is_known(self, kind: str) -> bool:
        return kind in FIELDS or (kind in (RECAPTCHA, TERMS) and kind in self.ui_auth.params)

    def _form(self, kind: str, session_id: str, problem: str = "", status: int = 200) -> Raw:
        is_captcha = kind == RECAPTCHA
        if is_captcha:
            fields = self._captcha()
        else:
            fields = policies_to_accept(self.ui_auth.params[TERMS]["policies"]) if kind == TERMS else FIELDS[kind]
        content = f"""<h1>{"Do you agree?" if kind == TERMS else "Is it you?"}</h1>
{alert(problem)}
<form method="post">
<input type="hidden" name="session" value="{html.escape(session_id)}">
{fields}
<button>Continue</button>
</form>"""
        return page(TITLE, content, status, scripts_from=CAPTCHA_SOURCES if is_captcha else "")

    def _captcha(self) -> str:
        key = html.escape(str(self.ui_auth.params[RECAPTCHA]["public_key"]))
        return (
            '<script src="https://www.recaptcha.net/recaptcha/api.js" async defer></script>\n'
            f'<div class="g-recaptcha" data-sitekey="{key}"></div>'
        )


def policies_to_accept(policies: Mapping[str, Mapping[str, Any]]) -> str:
    """A link to each text, and one box to tick."""
    links = [
        f'<li><a href="{html.escape(text["url"])}" hreflang="{html.escape(language)}" target="_blank" '
        f'rel="noopener noreferrer">{html.escape(text["name"])}</a></li>'
        for policy in policies.values()
        for language, text in policy.items()
        if language != "version"
    ]
    return f"""<ul>
{"".join(links)}
</ul>
<label><input type="checkbox" name="accepted" value="yes" required> I have read this and agree</label>"""

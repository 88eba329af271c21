"""The page behind the link of a mail. What looks at links in mail opens it as browsers do: only its button confirms.

Programs that do not ask for a page have no button to press: their GET confirms at once. Only a new password wants the
button of everybody: anybody may have the mail sent, and whatever opens its link would give him the account.
"""

from __future__ import annotations

import html
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from homeserver.http.endpoint import Auth, endpoint
from homeserver.http.pages import MAX_FORM_BYTES, message, page, read_form
from homeserver.http.request import Request
from homeserver.http.responses import Raw, Response
from homeserver.protocol import errors
from homeserver.services.threepids.proofs import ADD, REGISTER, RESET, Proofs
from homeserver.services.threepids.request_mail import LINK_PATH
from homeserver.storage.threepid_sessions import Link

TITLE = "Confirm your e-mail address"
QUESTIONS: Mapping[str, str] = {
    ADD: "Add this address to an account?",
    REGISTER: "Make an account with this address?",
    RESET: "Set a new password?",
}
EXPLANATIONS: Mapping[str, str] = {
    ADD: "Somebody wants to add this e-mail address to an account. Whoever has it can reset the password of that account.",
    REGISTER: "Somebody is making an account with this e-mail address.",
    RESET: "Somebody wants to set a new password for the account with this e-mail address. "
    "If it was not you, close this page: the password stays as it is.",
}
BUTTONS: Mapping[str, str] = {ADD: "Add the address", REGISTER: "Go on", RESET: "Set a new password"}


@dataclass(frozen=True, slots=True)
class ConfirmAddressEndpoints:
    """The token is the only way in. `with_button` False: opening the page is enough, in browsers, too, but for passwords."""

    proofs: Proofs
    server_name: str
    with_button: bool = True

    @endpoint("GET", LINK_PATH, auth=Auth.NONE, limit="login")
    async def show(self, request: Request[None]) -> Response:
        session_id, token = request.query.string("sid", ""), request.query.string("token", "")
        try:
            link = await self.proofs.look_at(session_id, token)
        except errors.NotFound as error:
            return page(TITLE, message(error.message), error.status)
        if link.purpose != RESET and not (self.with_button and _shows_page(request)):
            return await self._confirm(session_id, token)
        return page(TITLE, self._form(link, session_id, token))

    @endpoint("POST", LINK_PATH, auth=Auth.NONE, limit="login", max_body_bytes=MAX_FORM_BYTES)
    async def submit(self, request: Request[None]) -> Response:
        form = await read_form(request)
        return await self._confirm(form.get("sid", ""), form.get("token", ""))

    async def _confirm(self, session_id: str, token: str) -> Raw:
        try:
            link = await self.proofs.confirm(session_id, token)
        except errors.NotFound as error:
            return page(TITLE, message(error.message), error.status)
        return page(TITLE, message("Thank you. Go back to where you began; you can close this window.") + _way_on(link))

    def _form(self, link: Link, session_id: str, token: str) -> str:
        return f"""<h1>{QUESTIONS[link.purpose]}</h1>
<p>{html.escape(link.address)}, on {html.escape(self.server_name)}</p>
{message(EXPLANATIONS[link.purpose])}
<form method="post" action="{LINK_PATH}">
<input type="hidden" name="sid" value="{html.escape(session_id)}">
<input type="hidden" name="token" value="{html.escape(token)}">
<button>{BUTTONS[link.purpose]}</button>
</form>"""


def _shows_page(request: Request[None]) -> bool:
    """Whether this is a browser, or poses as one (HTTP clients send `*/*`, or nothing); HEAD asks, and does nothing."""
    return request.method == "HEAD" or "text/html" in request.headers.get("Accept", "").lower()


def _way_on(link: Link) -> str:
    """A link, and no redirect: people see where they go."""
    if link.next_link is None:
        return ""
    host = urlsplit(link.next_link).hostname or ""
    return f'<p><a href="{html.escape(link.next_link)}" rel="noreferrer">Go on to {html.escape(host)}</a></p>'

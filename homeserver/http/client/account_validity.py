"""Accounts that end: the link that renews one, and another mail with it. At the addresses that Synapse's users know."""

from __future__ import annotations

import html
from dataclasses import dataclass

import msgspec

from homeserver.http.endpoint import Auth, endpoint
from homeserver.http.pages import MAX_FORM_BYTES, message, page, read_form
from homeserver.http.request import Request
from homeserver.http.responses import Response
from homeserver.protocol import errors
from homeserver.services.standing.validity import RENEW_PATH, AccountValidity

TITLE = "VoiceChat: your account"
SEND_PATH = "/_matrix/client/unstable/account_validity/send_mail"
ADMIN_PATH = "/_synapse/admin/v1/account_validity/validity"


class ValidityBody(msgspec.Struct):
    user_id: str
    expiration_ts: int | None = None
    enable_renewal_emails: bool = True


@dataclass(frozen=True, slots=True)
class AccountValidityEndpoints:
    """The link asks for a button: programs that look at mail open links, too."""

    validity: AccountValidity

    @endpoint("GET", RENEW_PATH, auth=Auth.NONE, limit="login")
    async def show(self, request: Request[None]) -> Response:
        token = request.query.string("token", "") or ""
        try:
            user_id = await self.validity.check_link(token)
        except errors.Forbidden as error:
            return page(TITLE, message(error.message), error.status)
        return page(
            TITLE,
            f"""<h1>Keep your account?</h1>
{message(f"{user_id} can be used on.")}
<form method="post" action="{RENEW_PATH}">
<input type="hidden" name="token" value="{html.escape(token)}">
<button>Keep it</button>
</form>""",
        )

    @endpoint("POST", RENEW_PATH, auth=Auth.NONE, limit="login", max_body_bytes=MAX_FORM_BYTES)
    async def renew(self, request: Request[None]) -> Response:
        form = await read_form(request)
        try:
            user_id = await self.validity.use_link(form.get("token", ""))
        except errors.Forbidden as error:
            return page(TITLE, message(error.message), error.status)
        return page(TITLE, message(f"{user_id} has been renewed."))

    # For those whose account has ended; the locked have nothing to renew.
    @endpoint("POST", SEND_PATH, locked=True, limit="password")
    async def send_again(self, request: Request[None]) -> Response:
        if request.requester.is_locked:
            raise errors.UserLocked
        await self.validity.send_again(request.requester)
        return {}

    @endpoint("POST", ADMIN_PATH, auth=Auth.ADMIN, body=ValidityBody, limit="administration")
    async def set(self, request: Request[ValidityBody]) -> Response:
        body = request.body
        until_ms = await self.validity.set(
            request.requester, body.user_id, body.expiration_ts, mails=body.enable_renewal_emails
        )
        return {"expiration_ts": until_ms}

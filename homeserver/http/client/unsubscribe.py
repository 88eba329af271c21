"""The page behind the link that ends mail about unread messages. Nobody has to sign in: whoever has the mail may end them."""

from __future__ import annotations

import html
from dataclasses import dataclass

from homeserver.http.endpoint import Auth, endpoint
from homeserver.http.pages import MAX_FORM_BYTES, message, page, read_form
from homeserver.http.request import Request
from homeserver.http.responses import Response
from homeserver.protocol import errors
from homeserver.services.push_mail.unsubscribing import PATH, Unsubscribing

TITLE = "No more mail about unread messages"
ENDED = "There will be no more of these mails."


@dataclass(frozen=True, slots=True)
class UnsubscribeEndpoints:
    """Programs that look at mail open links: only the button ends anything."""

    unsubscribing: Unsubscribing

    @endpoint("GET", PATH, auth=Auth.NONE, limit="login")
    async def show(self, request: Request[None]) -> Response:
        pusher_nid, token = _asked(request)
        try:
            pusher = self.unsubscribing.look_at(pusher_nid, token)
        except errors.Forbidden as error:
            return page(TITLE, message(error.message), error.status)
        if pusher is None:
            return page(TITLE, message(ENDED))
        return page(TITLE, _form(pusher_nid, token, pusher.user_id))

    @endpoint("POST", PATH, auth=Auth.NONE, limit="login", max_body_bytes=MAX_FORM_BYTES)
    async def end(self, request: Request[None]) -> Response:
        """With the form's fields; or with the link's, as mail programs do it (RFC 8058)."""
        pusher_nid, token = _asked(request)
        if not token:
            form = await read_form(request)
            pusher_nid, token = form.get("pusher", ""), form.get("token", "")
        try:
            await self.unsubscribing.end(pusher_nid, token)
        except errors.Forbidden as error:
            return page(TITLE, message(error.message), error.status)
        return page(TITLE, message(ENDED))


def _asked(request: Request[None]) -> tuple[str, str]:
    return request.query.string("pusher", ""), request.query.string("token", "")


def _form(pusher_nid: str, token: str, user_id: str) -> str:
    return f"""<h1>{TITLE}</h1>
<p>They are about the account {html.escape(user_id)}.</p>
<form method="post" action="{PATH}">
<input type="hidden" name="pusher" value="{html.escape(pusher_nid)}">
<input type="hidden" name="token" value="{html.escape(token)}">
<button>No more mail</button>
</form>"""

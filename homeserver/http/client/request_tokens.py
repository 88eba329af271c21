"""Proofs of addresses: a client asks for a mail or a text message. All .../requestToken of the client-server API."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from homeserver.http.endpoint import Auth, endpoint
from homeserver.http.request import Request
from homeserver.http.responses import Response
from homeserver.protocol import errors
from homeserver.services.threepids.proofs import ADD, REGISTER, RESET
from homeserver.services.threepids.request_mail import MailRequest, RequestMail

V3 = "/_matrix/client/v3"


# `id_server` and `id_access_token` are "ignored when the homeserver handles 3PID verification".
class EmailBody(msgspec.Struct):
    client_secret: str
    email: str
    send_attempt: int
    next_link: str | None = None


class PhoneBody(msgspec.Struct):
    client_secret: str
    country: str
    phone_number: str
    send_attempt: int
    next_link: str | None = None


@dataclass(frozen=True, slots=True)
class RequestTokenEndpoints:
    """Nobody needs a token here: who has forgotten his password has none."""

    request_mail: RequestMail

    @endpoint("POST", V3 + "/account/3pid/email/requestToken", auth=Auth.NONE, body=EmailBody, limit="mail")
    async def add_email(self, request: Request[EmailBody]) -> Response:
        return await self._mail(ADD, request.body)

    @endpoint("POST", V3 + "/register/email/requestToken", auth=Auth.NONE, body=EmailBody, limit="mail")
    async def register_email(self, request: Request[EmailBody]) -> Response:
        return await self._mail(REGISTER, request.body)

    @endpoint("POST", V3 + "/account/password/email/requestToken", auth=Auth.NONE, body=EmailBody, limit="mail")
    async def reset_email(self, request: Request[EmailBody]) -> Response:
        return await self._mail(RESET, request.body)

    @endpoint("POST", V3 + "/account/3pid/msisdn/requestToken", auth=Auth.NONE, body=PhoneBody, limit="mail")
    @endpoint("POST", V3 + "/register/msisdn/requestToken", auth=Auth.NONE, body=PhoneBody, limit="mail")
    @endpoint("POST", V3 + "/account/password/msisdn/requestToken", auth=Auth.NONE, body=PhoneBody, limit="mail")
    async def phone(self, request: Request[PhoneBody]) -> Response:
        raise errors.ThreepidMediumNotSupported("This server sends no text messages")

    async def _mail(self, purpose: str, body: EmailBody) -> Response:
        request = MailRequest(body.client_secret, body.email, body.send_attempt, body.next_link)
        # No `submit_url`: the link in the mail is all that is needed, and clients have nothing to ask people for.
        return {"sid": await self.request_mail(purpose, request)}

"""LiveKit's reports of who comes and goes (`webhook.urls` in livekit.yaml)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from homeserver.http.endpoint import Auth, endpoint
from homeserver.http.request import Request
from homeserver.http.responses import Response
from homeserver.protocol import errors
from voice.sfu.livekit.webhooks import MAX_WEBHOOK_BYTES, NotSigned

PATH = "/livekit/sfu_webhook"


class Reports(Protocol):
    """Who believes LiveKit. Both verbs raise NotSigned for what no cluster of ours said."""

    def check(self, authorization: str) -> None: ...

    def report(self, body: bytes, authorization: str) -> None: ...


@dataclass(frozen=True, slots=True)
class LiveKitWebhookEndpoints:
    """Strangers are sent away before anything of their body is read."""

    reports: Reports

    @endpoint("POST", PATH, auth=Auth.NONE, limit="none", max_body_bytes=MAX_WEBHOOK_BYTES)
    async def receive(self, request: Request[None]) -> Response:
        authorization = request.headers.get("Authorization", "")
        try:
            self.reports.check(authorization)
            body = b"".join([piece async for piece in request.stream()])
            self.reports.report(body, authorization)
        except NotSigned as error:
            raise errors.Unauthorized(f"This report is not signed: {error}") from error
        return {}

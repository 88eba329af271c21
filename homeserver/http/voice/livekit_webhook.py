"""LiveKit's reports of who comes and goes (`webhook.urls` in livekit.yaml)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from homeserver.http.endpoint import Auth, endpoint
from homeserver.http.request import Request
from homeserver.http.responses import Response
from homeserver.protocol import errors
from voice.sfu.livekit.webhooks import MAX_WEBHOOK_BYTES, NotSigned

PATH = "/livekit/sfu_webhook"


@dataclass(frozen=True, slots=True)
class LiveKitWebhookEndpoints:
    """`report` takes body and Authorization header, and raises NotSigned for what no cluster of ours said."""

    report: Callable[[bytes, str], None]

    @endpoint("POST", PATH, auth=Auth.NONE, limit="none", max_body_bytes=MAX_WEBHOOK_BYTES)
    async def receive(self, request: Request[None]) -> Response:
        body = b"".join([piece async for piece in request.stream()])
        try:
            self.report(body, request.headers.get("Authorization", ""))
        except NotSigned as error:
            raise errors.Unauthorized(f"This report is not signed: {error}") from error
        return {}

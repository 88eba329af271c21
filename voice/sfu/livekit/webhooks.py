"""What LiveKit reports: signed by one of our keys, or not believed."""

from __future__ import annotations

import jwt
from livekit.api import TokenVerifier, WebhookReceiver
from livekit.protocol.webhook import WebhookEvent

from voice.sfu.livekit.cluster import ClusterAddress

MAX_WEBHOOK_BYTES = 256 * 1024


class NotSigned(Exception):  # noqa: N818
    """Nobody we know said this."""


def read_webhook(body: bytes, authorization: str, clusters: list[ClusterAddress]) -> WebhookEvent:
    """The event that LiveKit reports. The signature covers the body's hash. Raises NotSigned.

    `authorization` is the header's value, with or without "Bearer".
    """
    token = authorization.removeprefix("Bearer ").strip()
    if len(body) > MAX_WEBHOOK_BYTES:
        raise NotSigned("the report is too large")
    try:
        claims = jwt.decode(token, options={"verify_signature": False})
        signer = next(each for each in clusters if each.api_key == claims.get("iss"))
        return WebhookReceiver(TokenVerifier(signer.api_key, signer.api_secret)).receive(body.decode(), token)
    except StopIteration:
        raise NotSigned("an unknown key") from None
    except Exception as error:  # the receiver raises bare Exceptions, and protobuf its own for what is not JSON
        raise NotSigned("the signature or the report cannot be read") from error

"""What LiveKit reports: signed by one of our keys, or not believed."""

from __future__ import annotations

from collections.abc import Sequence

import jwt
from livekit.api import TokenVerifier, WebhookReceiver
from livekit.protocol.webhook import WebhookEvent

from voice.sfu.livekit.cluster import ClusterAddress

MAX_WEBHOOK_BYTES = 256 * 1024
MAX_TOKEN_CHARACTERS = 4096


class NotSigned(Exception):  # noqa: N818
    """Nobody we know said this."""


def check_signer(authorization: str, clusters: Sequence[ClusterAddress]) -> None:
    """Whether one of our keys signed the header of a report, whose body is not read yet. Raises NotSigned."""
    _verifier(_token(authorization), clusters)


def read_webhook(body: bytes, authorization: str, clusters: Sequence[ClusterAddress]) -> WebhookEvent:
    """The event that LiveKit reports. The signature covers the body's hash. Raises NotSigned.

    `authorization` is the header's value, with or without "Bearer".
    """
    token = _token(authorization)
    verifier = _verifier(token, clusters)
    if len(body) > MAX_WEBHOOK_BYTES:
        raise NotSigned("the report is too large")
    try:
        return WebhookReceiver(verifier).receive(body.decode(), token)
    except Exception as error:  # the receiver raises bare Exceptions, and protobuf its own for what is not JSON
        raise NotSigned("the signature does not fit the report, or it cannot be read") from error


def _token(authorization: str) -> str:
    return authorization.removeprefix("Bearer ").strip()


def _verifier(token: str, clusters: Sequence[ClusterAddress]) -> TokenVerifier:
    """Of the key that signed this; clusters may share one. Raises NotSigned."""
    if not token or len(token) > MAX_TOKEN_CHARACTERS:
        raise NotSigned("there is no token")
    try:
        key = jwt.decode(token, options={"verify_signature": False}).get("iss")
    except (jwt.InvalidTokenError, ValueError, RecursionError) as error:
        raise NotSigned("the token cannot be read") from error
    for signer in (each for each in clusters if each.api_key == key):
        verifier = TokenVerifier(signer.api_key, signer.api_secret)
        try:
            verifier.verify(token)
        except (jwt.InvalidTokenError, ValueError, TypeError):
            continue  # the same key may have another secret at another cluster
        return verifier
    raise NotSigned("none of our keys signed it")

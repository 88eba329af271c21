"""How a client asks to join: a packed JoinRequest (v1) or a query string (v0)."""

from __future__ import annotations

import base64
import binascii
import json
import zlib
from collections.abc import Mapping
from typing import Any

from google.protobuf.message import DecodeError
from livekit.protocol import rtc

from voice.sfu.embedded.rooms.intent import JoinIntent

_GZIP = 31  # zlib's window bits for a gzip header
_ATTRIBUTES_LIMIT = 65_536


class BadJoin(Exception):  # noqa: N818 - it is a verdict, and reads like one
    """The request cannot be read; the text goes to the client."""


def from_join_request(encoded: str, limit: int) -> JoinIntent:
    """The `join_request` parameter: base64url of a WrappedJoinRequest. Raises BadJoin."""
    request = _unwrap(encoded, limit)
    settings = request.connection_settings
    return JoinIntent(
        single_peer=True,
        protocol=request.client_info.protocol,
        auto_subscribe=settings.auto_subscribe,
        reconnect=request.reconnect,
        participant_sid=request.participant_sid,
        offer=request.publisher_offer if request.publisher_offer.sdp else None,
        add_tracks=tuple(request.add_track_requests),
        metadata=request.metadata,
        attributes=dict(request.participant_attributes),
    )


def _unwrap(encoded: str, limit: int) -> Any:
    wrapped, request = rtc.WrappedJoinRequest(), rtc.JoinRequest()
    try:
        wrapped.ParseFromString(_base64url(encoded))
        packed = wrapped.join_request
        request.ParseFromString(
            _gunzip(packed, limit) if wrapped.compression == rtc.WrappedJoinRequest.GZIP else packed
        )
    except (DecodeError, binascii.Error, ValueError) as error:
        raise BadJoin("cannot read the join request") from error
    return request


def _base64url(encoded: str) -> bytes:
    padded = encoded.rstrip("=") + "=" * (-len(encoded.rstrip("=")) % 4)
    return base64.b64decode(padded.replace("-", "+").replace("_", "/"), validate=True)


def _gunzip(packed: bytes, limit: int) -> bytes:
    """Never unpacks more than `limit`: some bytes can stand for gigabytes."""
    inflater = zlib.decompressobj(_GZIP)
    try:
        plain = inflater.decompress(packed, limit)
    except zlib.error as error:
        raise BadJoin("cannot read decompressed join request") from error
    if inflater.unconsumed_tail:
        raise BadJoin("join request too large")
    if not inflater.eof:
        raise BadJoin("cannot read decompressed join request")
    return plain


def from_query(query: Mapping[str, str]) -> JoinIntent:
    """Parameters of protocol v0."""
    reconnect = _is_true(query.get("reconnect", ""))
    return JoinIntent(
        single_peer=False,
        protocol=_number(query.get("protocol", "")),
        auto_subscribe=_is_true(query.get("auto_subscribe", "1")),
        reconnect=reconnect,
        participant_sid=query.get("sid", "") if reconnect else "",
        attributes=_attributes(query.get("attributes", "")),
    )


def _is_true(text: str) -> bool:
    return text in ("1", "true")


def _number(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 6 else 0


def _attributes(encoded: str) -> dict[str, str]:
    """Base64url of a JSON object; one that cannot be read is ignored, as LiveKit does."""
    if not encoded or len(encoded) > _ATTRIBUTES_LIMIT:
        return {}
    try:
        value = json.loads(_base64url(encoded))
    except (ValueError, RecursionError):
        return {}
    if not isinstance(value, dict):
        return {}
    texts = {str(key): str(text) for key, text in value.items()}
    return {key: text for key, text in texts.items() if _is_unicode(key) and _is_unicode(text)}


def _is_unicode(text: str) -> bool:
    """JSON can name halves of surrogate pairs, which nobody could be told of."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True

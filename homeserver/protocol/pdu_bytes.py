"""A stored event as the JSON of its PDU, by splicing: what `client_event.join` gives, without parsing.

The state of a large room and its auth chain are tens of thousands of events; parsing each would keep everybody waiting.
"""

from __future__ import annotations

from typing import Any, Final

import orjson

from homeserver.protocol.canonical_json import encode_canonical
from homeserver.protocol.client_event import join
from homeserver.protocol.room_versions import RoomVersion

_REDACTS: Final = b'"redacts":'


def pdu_bytes(event_id: str, body: bytes, envelope: bytes, version: RoomVersion) -> bytes:
    """JSON of the PDU that was split into these bytes; keys are in no particular order."""
    if _REDACTS in body:
        # What clients see of a redaction is not what servers see.
        return encode_pdu(join(body, envelope, version), version)
    if not version.event_id_in_pdu:
        body = _without_event_id(event_id, body)
    return b"".join((body[:-1], b",", envelope[1:]))


def encode_pdu(pdu: dict[str, Any], version: RoomVersion) -> bytes:
    """JSON of a PDU; up to room version 5 it may have integers that only a tolerant encoder writes."""
    if version.strict_canonical_json:
        return orjson.dumps(pdu, option=orjson.OPT_SORT_KEYS)
    return encode_canonical(pdu, strict=False)


def _without_event_id(event_id: str, body: bytes) -> bytes:
    """Keys of a body are sorted, so that only `content` comes before its own `event_id`; after it come strings and
    numbers, in which no quote is unescaped.
    """
    member = b',"event_id":' + orjson.dumps(event_id)
    before, _, after = body.rpartition(member)
    return before + after

"""Content hashes, reference hashes, and the event ids made of them.

Source: server-server API, "Calculating the content hash for an event", "Calculating the reference hash for an event";
room version texts, "Event IDs".
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from typing import Any

from homeserver.protocol.canonical_json import encode_canonical, encode_checked
from homeserver.protocol.errors import InvalidEvent
from homeserver.protocol.redaction import redact
from homeserver.protocol.room_versions import EventIdFormat, RoomVersion

_NOT_HASHED = frozenset({"unsigned", "signatures", "hashes"})
_NOT_REFERENCED = frozenset({"unsigned", "signatures", "age_ts"})


def encode_base64(data: bytes) -> str:
    """Standard unpadded base64."""
    return base64.b64encode(data).rstrip(b"=").decode("ascii")


def encode_base64_url(data: bytes) -> str:
    """URL-safe unpadded base64."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode("ascii")


def decode_base64(text: str) -> bytes:
    """Decode base64 of either alphabet, padded or not (appendix "Unpadded Base64"); raises ValueError."""
    data = text.rstrip("=").replace("-", "+").replace("_", "/")
    try:
        return base64.b64decode(data + "=" * (-len(data) % 4), validate=True)
    except binascii.Error as error:
        raise ValueError(f"not base64: {error}") from error


def sha256(data: bytes) -> bytes:
    """The digest."""
    return hashlib.sha256(data).digest()


def content_hash(pdu: dict[str, Any], version: RoomVersion) -> bytes:
    """SHA-256 over the whole event without `unsigned`, `signatures` and `hashes`: detects changed content."""
    hashed = {key: value for key, value in pdu.items() if key not in _NOT_HASHED}
    return hashlib.sha256(encode_canonical(hashed, strict=version.strict_canonical_json)).digest()


def has_valid_content_hash(pdu: dict[str, Any], version: RoomVersion) -> bool:
    """Whether `hashes.sha256` fits; where it does not, the event is to be redacted, not refused."""
    hashes = pdu.get("hashes")
    claimed = hashes.get("sha256") if isinstance(hashes, dict) else None
    if not isinstance(claimed, str):
        return False
    try:
        return hmac.compare_digest(decode_base64(claimed), content_hash(pdu, version))
    except ValueError:
        return False


def referenced_bytes(pdu: dict[str, Any], version: RoomVersion, *, checked: bool = False) -> bytes:
    """The canonical bytes of the redacted event without signatures: these are signed, and hashed to the event id.

    `checked`: the event has been encoded before, so it is known to hold nothing but canonical JSON.
    """
    redacted = redact(pdu, version)
    for key in _NOT_REFERENCED:
        redacted.pop(key, None)
    encode = encode_checked if checked else encode_canonical
    return encode(redacted, strict=version.strict_canonical_json)


def reference_hash(pdu: dict[str, Any], version: RoomVersion) -> bytes:
    """SHA-256 that identifies an event: stays the same when the event is redacted or signed again."""
    return hashlib.sha256(referenced_bytes(pdu, version)).digest()


def event_id_from_hash(digest: bytes, version: RoomVersion) -> str:
    """The event id of room versions 3 and later for a reference hash."""
    if version.event_id_format is EventIdFormat.BASE64_HASH:
        return "$" + encode_base64(digest)
    return "$" + encode_base64_url(digest)


def event_id_of(pdu: dict[str, Any], version: RoomVersion) -> str:
    """The id of an event, written in it (v1, v2) or computed from it; raises InvalidEvent when it is missing."""
    if not version.event_id_in_pdu:
        return event_id_from_hash(reference_hash(pdu, version), version)
    event_id = pdu.get("event_id")
    if not isinstance(event_id, str):
        raise InvalidEvent(f"An event of room version {version} must have an event_id.")
    return event_id


def room_id_of_create_event(event_id: str) -> str:
    """The room id that a create event makes since room version 12: its own id with another sigil."""
    return "!" + event_id[1:]

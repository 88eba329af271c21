"""The two byte strings an event is stored as, and how they are put together again.

`body` is what clients see, without what depends on room or reader:
`{"content":..,"event_id":..,"msc4354_sticky"?:..,"origin_server_ts":..,"redacts"?:..,"sender":..,"state_key"?:..,
"type":..}`. `envelope` is the rest of the PDU: `auth_events`, `prev_events`, `depth`, `hashes`, `signatures`, `room_id`,
and keys nobody knows.

Answers to clients are made by `render`, which splices bytes and parses nothing; `join` gives back exactly the PDU
that was split.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import orjson

from homeserver.protocol.canonical_json import decode_lenient, encode_canonical
from homeserver.protocol.events import Event
from homeserver.protocol.room_versions import RoomVersion
from homeserver.protocol.sticky import STICKY_KEY

_BODY_KEYS = ("content", STICKY_KEY, "origin_server_ts", "sender", "state_key", "type")
_NOTES = "unsigned"
"""Key of the envelope that holds our own notes: a PDU has `unsigned` nowhere in its hash, and `Event.pdu` never has
it.
"""
_CONTENT_HAD_REDACTS = {"content_had_redacts": True}


class SplitEvent(NamedTuple):
    """The bytes to store."""

    body: bytes
    envelope: bytes


def split(event: Event) -> SplitEvent:
    """Split an event's PDU into the bytes clients see and the bytes only servers see."""
    pdu, version = event.pdu, event.room_version
    body = {key: pdu[key] for key in _BODY_KEYS if key in pdu}
    body["event_id"] = event.event_id
    left_out = {*_BODY_KEYS, "event_id"} if version.event_id_in_pdu else {*_BODY_KEYS}
    envelope = {key: value for key, value in pdu.items() if key not in left_out}
    if event.redacts is not None:
        _show_redacts(event.redacts, body, envelope, version)
    return SplitEvent(_encode(body, version), _encode(envelope, version))


def join(body: bytes, envelope: bytes, version: RoomVersion) -> dict[str, Any]:
    """The PDU that was split into these bytes."""
    shown: dict[str, Any] = _decode(body, version)
    pdu: dict[str, Any] = _decode(envelope, version)
    notes = pdu.pop(_NOTES, None)
    redacts, event_id = shown.pop("redacts", None), shown.pop("event_id")
    if version.event_id_in_pdu:
        pdu["event_id"] = event_id
    if redacts is not None and not version.redacts_in_content:
        pdu["redacts"] = redacts
        if notes != _CONTENT_HAD_REDACTS:
            del shown["content"]["redacts"]
    pdu.update(shown)
    return pdu


def join_event(body: bytes, envelope: bytes, version: RoomVersion) -> Event:
    """The event that was split into these bytes, with the id it had."""
    return Event.from_pdu(join(body, envelope, version), version, orjson.loads(body)["event_id"])


def render(body: bytes, *, room_id: str | None, unsigned: bytes | None) -> bytes:
    """The JSON a client gets: the body with `room_id` (None in /sync, where the place says it) and `unsigned` (a JSON
    object).
    """
    if room_id is None and unsigned is None:
        return body
    parts = [body[:-1]]
    if room_id is not None:
        parts.append(b',"room_id":' + orjson.dumps(room_id))
    if unsigned is not None:
        parts.append(b',"unsigned":' + unsigned)
    parts.append(b"}")
    return b"".join(parts)


def _show_redacts(redacts: str, body: dict[str, Any], envelope: dict[str, Any], version: RoomVersion) -> None:
    """Show `redacts` in both places, for clients older and newer than room version 11 (`m.room.redaction`)."""
    body["redacts"] = redacts
    if version.redacts_in_content:
        return
    del envelope["redacts"]
    if "redacts" in body["content"]:
        envelope[_NOTES] = _CONTENT_HAD_REDACTS
    else:
        body["content"] = {**body["content"], "redacts": redacts}


def _encode(value: dict[str, Any], version: RoomVersion) -> bytes:
    if version.strict_canonical_json:
        return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)
    return encode_canonical(value, strict=False)


def _decode(data: bytes, version: RoomVersion) -> Any:
    """Integers beyond 64 bits exist in rooms up to version 5 only."""
    return orjson.loads(data) if version.strict_canonical_json else decode_lenient(data)

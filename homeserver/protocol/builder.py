"""From a draft to a hashed, signed event.

The draft is what the author decides; where in the graph it goes, when, and whose key signs it are arguments of
`build_event`. Source: server-server API, "Adding hashes and signatures to outgoing events".
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from homeserver.protocol.canonical_json import encode_canonical
from homeserver.protocol.event_format import MAX_EVENT_BYTES, check_event_size, check_field_bytes, max_depth
from homeserver.protocol.events import Event
from homeserver.protocol.hashing import encode_base64, encode_base64_url, event_id_from_hash, referenced_bytes
from homeserver.protocol.room_versions import RoomVersion
from homeserver.protocol.signing import SigningKey
from homeserver.protocol.sticky import STICKY_KEY

_SORTED = orjson.OPT_SORT_KEYS
_NOT_HASHED = ("unsigned", "signatures", "hashes")
_HASH_AND_SIGNATURE_BYTES = 1024
"""More than a hash and one signature add to an event: below the limit minus this, nothing needs to be measured again.
"""


@dataclass(frozen=True, slots=True)
class EventDraft:
    """What the author decides. `state_key` None: not a state event. `redacts`: only for `m.room.redaction`.

    `sticky_ms`: for how long everybody is to get it (MSC4354).
    """

    type: str
    sender: str
    content: dict[str, Any]
    state_key: str | None = None
    redacts: str | None = None
    origin_server_ts: int | None = None
    sticky_ms: int | None = None

    def repeats(self, standing: Event) -> bool:
        """Whether a state event says this already. To Python 1 and true are equal, to JSON they are not."""
        return (
            self.sender == standing.sender
            and self.content == standing.content
            and orjson.dumps(self.content, option=_SORTED) == orjson.dumps(standing.content, option=_SORTED)
        )


def build_event(
    draft: EventDraft,
    *,
    room_version: RoomVersion,
    room_id: str | None,
    prev_event_ids: Sequence[str],
    auth_event_ids: Sequence[str],
    depth: int,
    origin_server_ts: int,
    server_name: str,
    signing_key: SigningKey,
    reference_hashes: Mapping[str, str] | None = None,
) -> Event:
    """Make the event: put it into the format of the room version, hash it, sign it.

    `room_id` is None for the create event of a room whose id is the hash of that event (since v12), and only then.
    `reference_hashes`: unpadded base64 by event id, written beside the ids in rooms of version 1 and 2.
    Raises BadJson for content that is not canonical JSON and EventTooLarge for an event beyond the size limits.
    """
    template = build_template(
        draft,
        room_version=room_version,
        room_id=room_id,
        prev_event_ids=prev_event_ids,
        auth_event_ids=auth_event_ids,
        depth=depth,
        origin_server_ts=origin_server_ts,
        reference_hashes=reference_hashes,
    )
    return hash_and_sign(template, room_version, server_name, signing_key)


def build_template(
    draft: EventDraft,
    *,
    room_version: RoomVersion,
    room_id: str | None,
    prev_event_ids: Sequence[str],
    auth_event_ids: Sequence[str],
    depth: int,
    origin_server_ts: int,
    reference_hashes: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """A PDU without hash, signature and event id, as in answers to `/make_join`; arguments as of `build_event`."""
    content = draft.content
    if draft.redacts is not None and room_version.redacts_in_content:
        content = {**content, "redacts": draft.redacts}
    pdu: dict[str, Any] = {
        "auth_events": _references(auth_event_ids, room_version, reference_hashes),
        "content": content,
        "depth": min(depth, max_depth(room_version)),
        "origin_server_ts": origin_server_ts,
        "prev_events": _references(prev_event_ids, room_version, reference_hashes),
        "sender": draft.sender,
        "type": draft.type,
    }
    if room_id is not None:
        pdu["room_id"] = room_id
    if draft.state_key is not None:
        pdu["state_key"] = draft.state_key
    if draft.redacts is not None and not room_version.redacts_in_content:
        pdu["redacts"] = draft.redacts
    if draft.sticky_ms is not None:
        pdu[STICKY_KEY] = {"duration_ms": draft.sticky_ms}
    return pdu


def hash_and_sign(
    template: Mapping[str, Any], room_version: RoomVersion, server_name: str, signing_key: SigningKey
) -> Event:
    """Finish a PDU that lacks hash and signature, such as the template of another server's `/make_join`.

    Rooms of version 1 and 2 also get their event id here: `$` and a hash of the event, on our server.
    """
    pdu = {key: value for key, value in template.items() if key not in _NOT_HASHED}
    strict = room_version.strict_canonical_json
    if room_version.event_id_in_pdu:
        digest = hashlib.sha256(encode_canonical(pdu, strict=strict)).digest()
        pdu["event_id"] = f"${encode_base64_url(digest[:18])}:{server_name}"
    hashed = encode_canonical(pdu, strict=strict)
    pdu["hashes"] = {"sha256": encode_base64(hashlib.sha256(hashed).digest())}
    # The bytes that are signed are also those the event id is a hash of: made once.
    signed = referenced_bytes(pdu, room_version, checked=True)
    pdu["signatures"] = {server_name: {signing_key.key_id: encode_base64(signing_key.sign(signed))}}
    check_field_bytes(pdu, room_version)
    if len(hashed) > MAX_EVENT_BYTES - _HASH_AND_SIGNATURE_BYTES:
        check_event_size(pdu, room_version)
    if room_version.event_id_in_pdu:
        return Event.from_pdu(pdu, room_version)
    return Event.from_pdu(pdu, room_version, event_id_from_hash(hashlib.sha256(signed).digest(), room_version))


def _references(
    event_ids: Sequence[str], room_version: RoomVersion, reference_hashes: Mapping[str, str] | None
) -> list[Any]:
    if not room_version.event_id_in_pdu:
        return list(event_ids)
    hashes = reference_hashes or {}
    return [[event_id, {"sha256": hashes[event_id]} if event_id in hashes else {}] for event_id in event_ids]

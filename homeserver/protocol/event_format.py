"""The format an event must have before anything else looks at it: keys, types, list shapes, sizes.

An event that fails is dropped, neither stored nor passed on (server-server API, "Checks performed on receipt of a
PDU", 1). Sources: room version texts, "Event format"; client-server API, "Size limits".
"""

from __future__ import annotations

from typing import Any

from homeserver.protocol.canonical_json import MAX_INTEGER, encode_canonical
from homeserver.protocol.errors import EventTooLarge, InvalidEvent
from homeserver.protocol.events import Event
from homeserver.protocol.identifiers import is_event_id, is_room_id, is_user_id, utf8_length
from homeserver.protocol.room_versions import RoomVersion

MAX_EVENT_BYTES = 65_536
MAX_FIELD_LENGTH = 255
MAX_OWNED_STATE_KEY_LENGTH = 511
"""MSC3757: a user id, `_` and as much as a state key had before; the auth rules look closer."""
MAX_PREV_EVENTS = 20
MAX_AUTH_EVENTS = 10
MAX_DEPTH_BEFORE_V6 = 2**63 - 1

_LIMITED_FIELDS = ("sender", "room_id", "type", "state_key", "event_id")


def parse_pdu(pdu: object, version: RoomVersion) -> Event:
    """Check the format of a PDU from outside and make it an Event; raises InvalidEvent or EventTooLarge."""
    checked = check_event_format(pdu, version)
    return Event.from_pdu(checked, version)


def check_event_format(pdu: object, version: RoomVersion) -> dict[str, Any]:
    """Return the PDU if it has the format of its room version; raises InvalidEvent or EventTooLarge."""
    if not isinstance(pdu, dict):
        raise InvalidEvent("An event must be a JSON object.")
    _check_fields(pdu, version)
    _check_room_id(pdu, version)
    _check_references(pdu, "prev_events", MAX_PREV_EVENTS, version)
    _check_references(pdu, "auth_events", MAX_AUTH_EVENTS, version)
    _check_hashes_and_signatures(pdu)
    check_event_size(pdu, version)
    return pdu


def check_event_size(pdu: dict[str, Any], version: RoomVersion) -> None:
    """Raise EventTooLarge unless the event and its fields are within the limits for events of other servers."""
    for name in _LIMITED_FIELDS:
        text = pdu.get(name)
        if isinstance(text, str) and _too_long(text, version, _limit(name, version)):
            raise EventTooLarge(f"The event's {name} is longer than {_limit(name, version)}.")
    encoded = encode_canonical(_without_unsigned(pdu), strict=version.strict_canonical_json)
    if len(encoded) > MAX_EVENT_BYTES:
        raise EventTooLarge(f"The event has {len(encoded)} bytes, more than {MAX_EVENT_BYTES}.")


def check_field_bytes(pdu: dict[str, Any], version: RoomVersion) -> None:
    """Raise EventTooLarge when a field has more than 255 bytes, in any room version but those with longer state keys.

    Our own events keep this limit always. For events of other servers it is a reason to reject, not to drop, before
    version 12: servers in use counted code points then.
    """
    for name in _LIMITED_FIELDS:
        text = pdu.get(name)
        # A character has four bytes at most: most fields are so short that nobody needs to count.
        if isinstance(text, str) and len(text) * 4 > MAX_FIELD_LENGTH and utf8_length(text) > _limit(name, version):
            raise EventTooLarge(f"The event's {name} is longer than {_limit(name, version)} bytes.")


def max_depth(version: RoomVersion) -> int:
    """The highest depth an event may have; at the limit, depth stops growing."""
    return MAX_INTEGER if version.strict_canonical_json else MAX_DEPTH_BEFORE_V6


def _limit(name: str, version: RoomVersion) -> int:
    return MAX_OWNED_STATE_KEY_LENGTH if version.owned_state and name == "state_key" else MAX_FIELD_LENGTH


def _too_long(text: str, version: RoomVersion, limit: int) -> bool:
    return (utf8_length(text) if version.strict_byte_limits else len(text)) > limit


def _check_fields(pdu: dict[str, Any], version: RoomVersion) -> None:
    """The keys every event has, and their types."""
    if not is_user_id(_string(pdu, "sender")):
        raise InvalidEvent("The event's sender is not a user id.")
    _string(pdu, "type")
    if "state_key" in pdu:
        _string(pdu, "state_key")
    if not isinstance(pdu.get("content"), dict):
        raise InvalidEvent("The event's content must be an object.")
    _integer(pdu, "origin_server_ts")
    if not 0 <= _integer(pdu, "depth") <= max_depth(version):
        raise InvalidEvent(f"The event's depth must be between 0 and {max_depth(version)}.")
    if version.event_id_in_pdu and not is_event_id(_string(pdu, "event_id")):
        raise InvalidEvent("The event's event_id is not an event id.")


def _check_room_id(pdu: dict[str, Any], version: RoomVersion) -> None:
    """Every event names its room, but the create event since v12, whose hash is the room's id (auth rule 1.2)."""
    is_create = pdu["type"] == "m.room.create" and pdu.get("state_key") == ""
    if is_create and version.room_id_is_create_event_id:
        if "room_id" in pdu:
            raise InvalidEvent(f"The create event of room version {version} must not have a room_id.")
        return
    if not is_room_id(_string(pdu, "room_id")):
        raise InvalidEvent("The event's room_id is not a room id.")


def _check_references(pdu: dict[str, Any], name: str, limit: int, version: RoomVersion) -> None:
    references = pdu.get(name)
    if not isinstance(references, list):
        raise InvalidEvent(f"The event's {name} must be a list.")
    if len(references) > limit:
        raise InvalidEvent(f"The event has {len(references)} {name}, more than {limit}.")
    for reference in references:
        event_id = _paired_event_id(reference) if version.event_id_in_pdu else reference
        if not is_event_id(event_id):
            raise InvalidEvent(f"The event's {name} must be a list of {_reference_shape(version)}.")


def _paired_event_id(reference: object) -> object:
    """The event id of a v1 reference, `[event_id, {"sha256": ...}]`, or None when it has another shape."""
    if isinstance(reference, list) and len(reference) == 2 and isinstance(reference[1], dict):
        return reference[0]
    return None


def _reference_shape(version: RoomVersion) -> str:
    return "[event id, hashes] pairs" if version.event_id_in_pdu else "event ids"


def _check_hashes_and_signatures(pdu: dict[str, Any]) -> None:
    hashes, signatures = pdu.get("hashes"), pdu.get("signatures")
    if not isinstance(hashes, dict) or not isinstance(hashes.get("sha256"), str):
        raise InvalidEvent("The event's hashes must be an object with a string sha256.")
    if not isinstance(signatures, dict) or not all(_is_signatures_of_one(entry) for entry in signatures.values()):
        raise InvalidEvent("The event's signatures must be an object of objects of strings.")


def _is_signatures_of_one(entry: object) -> bool:
    return isinstance(entry, dict) and all(isinstance(signature, str) for signature in entry.values())


def _string(pdu: dict[str, Any], name: str) -> str:
    value = pdu.get(name)
    if not isinstance(value, str):
        raise InvalidEvent(f"The event's {name} must be a string." if name in pdu else f"The event has no {name}.")
    return value


def _integer(pdu: dict[str, Any], name: str) -> int:
    value = pdu.get(name)
    if type(value) is not int:
        raise InvalidEvent(f"The event's {name} must be an integer." if name in pdu else f"The event has no {name}.")
    return value


def _without_unsigned(pdu: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in pdu.items() if key != "unsigned"}

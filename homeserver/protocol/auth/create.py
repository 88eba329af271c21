"""Rule 1: `m.room.create`. Needs nothing but the event."""

from __future__ import annotations

from homeserver.protocol.auth.rejection import reject
from homeserver.protocol.events import Event
from homeserver.protocol.identifiers import is_user_id
from homeserver.protocol.room_versions import ROOM_VERSIONS, RoomVersion


def check_create(event: Event, version: RoomVersion) -> None:
    """Rule 1, complete: an event that passes is allowed (1.5)."""
    if event.prev_event_ids:
        reject("1.1", "The create event must be the first of its room.")
    _check_room_id(event, version)
    if "room_version" in event.content and not _is_recognised(event.content["room_version"]):
        reject("1.3", f"The room version {str(event.content['room_version'])[:32]!r} is not known.")
    if version.create_needs_creator and "creator" not in event.content:
        reject("v1 1.4", "The create event does not name the creator.")
    if version.additional_creators:
        _check_additional_creators(event)


def _check_room_id(event: Event, version: RoomVersion) -> None:
    if version.room_id_is_create_event_id:
        if "room_id" in event.pdu:
            reject("1.2", "The create event must not have a room id: it is made of the event's own hash.")
    elif event.room_id.partition(":")[2] != event.sender_server:
        reject("v1 1.2", "The room id must be of the server that creates the room.")


def _is_recognised(room_version: object) -> bool:
    return isinstance(room_version, str) and room_version in ROOM_VERSIONS


def _check_additional_creators(event: Event) -> None:
    if "additional_creators" not in event.content:
        return
    creators = event.content["additional_creators"]
    if not isinstance(creators, list) or not all(is_user_id(user_id) for user_id in creators):
        reject("1.4", "`additional_creators` must be a list of user ids.")

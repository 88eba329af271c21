"""What the mail of an identity server may say about the room. Identity service API, /store-invite."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from homeserver.services.rooms.live_room import LiveRoom

MAX_CHARACTERS: Final = 500
# Name in the request -> event type, key of its content.
_OF_ROOM: Final[Mapping[str, tuple[str, str]]] = {
    "room_alias": ("m.room.canonical_alias", "alias"),
    "room_avatar_url": ("m.room.avatar", "url"),
    "room_join_rules": ("m.room.join_rules", "join_rule"),
    "room_name": ("m.room.name", "name"),
    "room_type": ("m.room.create", "type"),
}
_OF_SENDER: Final[Mapping[str, str]] = {"sender_display_name": "displayname", "sender_avatar_url": "avatar_url"}


def room_words(room: LiveRoom, sender: str) -> dict[str, str]:
    """Those that there are, cut where they are long."""
    member = room.fetch_auth_event("m.room.member", sender)
    found = {name: _content(room, event_type).get(key) for name, (event_type, key) in _OF_ROOM.items()}
    found |= {name: None if member is None else member.content.get(key) for name, key in _OF_SENDER.items()}
    return {name: value[:MAX_CHARACTERS] for name, value in found.items() if isinstance(value, str)}


def _content(room: LiveRoom, event_type: str) -> Mapping[str, object]:
    event = room.fetch_auth_event(event_type, "")
    return {} if event is None else event.content

"""A room of which this server knows no more than what came with an invite, or the answer to a knock."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import orjson

from homeserver.services.directory.facts import room_facts
from homeserver.services.spaces.space_room import SpaceRoom, allowed_rooms

_NOTHING: Final[Mapping[str, Any]] = {}


def stripped_room(room_id: str, stripped: bytes) -> SpaceRoom:
    """From a list of stripped events, JSON as other servers sent it: whatever has the wrong type is not there."""
    contents: dict[str, Mapping[str, Any]] = {}
    joined = 0
    for event in _events(stripped):
        content = event.get("content")
        if not isinstance(content, dict) or not isinstance(event.get("type"), str):
            continue
        if event.get("state_key") == "":
            contents[event["type"]] = content
        joined += event["type"] == "m.room.member" and content.get("membership") == "join"

    def content_of(event_type: str) -> Mapping[str, Any]:
        return contents.get(event_type, _NOTHING)

    algorithm, version = (
        content_of("m.room.encryption").get("algorithm"),
        content_of("m.room.create").get("room_version"),
    )
    return SpaceRoom(
        room_facts(room_id, 0, joined, content_of),
        version if isinstance(version, str) else None,
        algorithm if isinstance(algorithm, str) else None,
        allowed_rooms(content_of("m.room.join_rules")),
        (),
    )


def _events(stripped: bytes) -> list[Mapping[str, Any]]:
    events = orjson.loads(stripped)
    return [event for event in events if isinstance(event, dict)] if isinstance(events, list) else []

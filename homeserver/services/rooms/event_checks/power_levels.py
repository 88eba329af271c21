"""m.room.power_levels: what old room versions would let pass, though nobody could read it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from homeserver.protocol.auth.power_levels import DEFAULT_LEVELS, read_level
from homeserver.protocol.errors import BadJson
from homeserver.protocol.room_versions import RoomVersion


def check_power_levels(content: Mapping[str, Any], version: RoomVersion) -> None:
    """Raises BadJson for levels that are none in this room version (`"ban": "banana"` locks everybody out)."""
    for key in DEFAULT_LEVELS:
        if key in content and read_level(content[key], version) is None:
            raise BadJson(f"'{key}' must be an integer")
    for key in ("users", "events", "notifications"):
        levels = content.get(key, {})
        if not isinstance(levels, dict) or any(read_level(each, version) is None for each in levels.values()):
            raise BadJson(f"'{key}' must map names to integers")

"""m.room.tombstone: a room cannot be its own successor."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from homeserver.protocol.errors import InvalidParam

TOMBSTONE = "m.room.tombstone"


def check_tombstone(content: Mapping[str, Any], room_id: str) -> None:
    """Raises InvalidParam for a tombstone after which clients would go round in circles."""
    if content.get("replacement_room") == room_id:
        raise InvalidParam("A room cannot be replaced by itself")

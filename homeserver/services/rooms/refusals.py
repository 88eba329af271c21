"""What those are told who are not in a room."""

from __future__ import annotations

from homeserver.protocol.errors import Forbidden


def not_in_room(room_id: str) -> Forbidden:
    """The same answer for rooms that one is not in and for rooms that do not exist."""
    return Forbidden(f"You are not in the room {room_id}")

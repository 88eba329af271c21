"""Table `notice_rooms`: in which room the server tells a user something."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from homeserver.storage.database import Queries

OF_USER = "SELECT room_id FROM notice_rooms WHERE user_id = $1"

SET = """
INSERT INTO notice_rooms (user_id, room_id) VALUES ($1, $2) ON CONFLICT (user_id) DO UPDATE SET room_id = excluded.room_id
"""


class NoticeRoomRows:
    """Queries over rooms of notices."""

    async def of_user(self, q: Queries, user_id: str) -> str | None:
        """The user's room."""
        room_id: str | None = await q.fetchval(OF_USER, user_id)
        return room_id

    async def set(self, q: Queries, user_id: str, room_id: str) -> None:
        """From now on this is the one."""
        await q.execute(SET, user_id, room_id)

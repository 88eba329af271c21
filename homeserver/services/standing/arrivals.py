"""Where the suspended may come in after all: into the room in which the server speaks to them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from homeserver.protocol.errors import UserSuspended
from homeserver.services.requester import Requester
from homeserver.storage.notice_rooms import NoticeRoomRows

if TYPE_CHECKING:
    from homeserver.storage.database import Queries


@dataclass(frozen=True, slots=True)
class SuspendedArrivals:
    """One check. Of everybody else nothing is asked."""

    queries: Queries
    rows: NoticeRoomRows

    async def check(self, requester: Requester, room_id: str) -> None:
        """Raises UserSuspended, where this is not his room of notices."""
        if requester.is_suspended and await self.rows.of_user(self.queries, requester.user_id) != room_id:
            raise UserSuspended

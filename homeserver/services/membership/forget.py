"""POST /forget: a left room is not to be shown any more."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from homeserver.protocol.errors import Unknown
from homeserver.services.awake import AwakeUsers
from homeserver.storage.memberships import Memberships

if TYPE_CHECKING:
    from homeserver.services.requester import Requester
    from homeserver.storage.database import Queries


@dataclass(frozen=True, slots=True)
class ForgetRoom:
    """One verb."""

    queries: Queries
    memberships: Memberships
    awake: AwakeUsers

    async def __call__(self, requester: Requester, room_id: str) -> None:
        """Forget a room. Raises Unknown (400) for members (spec), does nothing for rooms one never was in."""
        membership = (await self.awake.memberships(requester.user_id)).get(room_id)
        if membership is None:
            return
        if membership.membership in ("join", "invite", "knock"):
            raise Unknown(f"You are still in the room {room_id}: leave it first")
        await self.memberships.forget(self.queries, requester.user_id, membership.room_nid)
        self.awake.forget_room(requester.user_id, room_id)

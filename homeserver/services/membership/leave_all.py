"""A deactivated account leaves every room."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass

from homeserver.protocol.errors import MatrixError
from homeserver.services.awake import AwakeUsers
from homeserver.services.membership.depart import DepartRoom

ROOMS_AT_ONCE = 50

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class LeaveAllRooms:
    """One verb."""

    depart: DepartRoom
    awake: AwakeUsers

    async def __call__(self, user_id: str) -> None:
        """Leave joined rooms, decline invites, take knocks back. A room that refuses does not keep the others."""
        user = await self.awake.get(user_id)
        room_ids = sorted(room_id for kind in ("join", "invite", "knock") for room_id in user.with_membership(kind))
        for start in range(0, len(room_ids), ROOMS_AT_ONCE):
            await asyncio.gather(*(self._leave(user_id, each) for each in room_ids[start : start + ROOMS_AT_ONCE]))

    async def _leave(self, user_id: str, room_id: str) -> None:
        try:
            await self.depart.leave_as(user_id, room_id)
        except MatrixError as error:
            log.warning("%s could not leave %s: %s", user_id, room_id, error)

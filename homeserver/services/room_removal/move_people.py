"""Everybody of this server leaves a room, into a new one if an administrator wants that."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from homeserver.protocol.errors import MatrixError, Unavailable
from homeserver.services.requester import on_behalf_of
from homeserver.services.rooms.creation.wishes import RoomWishes
from homeserver.storage.room_purge import RoomPurge

if TYPE_CHECKING:
    from homeserver.services.membership.depart import DepartRoom
    from homeserver.services.membership.join import JoinRoom
    from homeserver.services.rooms.creation.create_room import CreateRoom
    from homeserver.services.rooms.send_event import SendEvent
    from homeserver.storage.database import Queries
    from homeserver.storage.long_tasks import LongTask

log = logging.getLogger(__name__)

LEFT_AT_ONCE: Final = 20
MAX_NAMES_TOLD: Final = 10_000
"""How many users an order remembers by name."""
NAME: Final = "Content Violation Notification"
MESSAGE: Final = "A room that you were in has been closed by the administrators of this server."


@dataclass(frozen=True, slots=True)
class MovePeople:
    """Two stages of the deletion of a room."""

    queries: Queries
    purge: RoomPurge
    create: CreateRoom
    send: SendEvent
    join: JoinRoom
    depart: DepartRoom

    async def make_room(self, task: LongTask) -> None:
        """The new room, with the word why, where one was asked for. Raises what making a room raises."""
        owner = task.wish.get("new_room_user_id")
        if owner is None or "new_room_id" in task.progress:
            return
        requester = on_behalf_of(owner)
        wishes = RoomWishes(
            preset="public_chat",
            name=task.wish.get("room_name") or NAME,
            # Nobody but its owner speaks there.
            power_level_override={"users_default": -10},
        )
        room_id = task.progress["new_room_id"] = await self.create(requester, wishes)
        content = {"msgtype": "m.text", "body": task.wish.get("message") or MESSAGE}
        await self.send(requester, room_id, "m.room.message", content, f"why {task.task_id}")

    async def some(self, task: LongTask, room_nid: int) -> bool:
        """The next users; False where there are none left."""
        after = task.progress.get("left_up_to", "")
        people = await self.purge.inside(self.queries, room_nid, after, LEFT_AT_ONCE)
        for user_id, membership in people:
            await self._one(task, user_id, was_in=membership == "join")
            task.progress["left_up_to"] = user_id
        return bool(people)

    async def _one(self, task: LongTask, user_id: str, *, was_in: bool) -> None:
        try:
            await self.depart.leave_as(user_id, task.target)
            _remember(task.progress, "kicked_users", user_id)
        except Unavailable:
            raise
        except MatrixError as error:
            log.info("%s could not leave %s: %s", user_id, task.target, error)
            _remember(task.progress, "failed_to_kick_users", user_id)
        new_room_id = task.progress.get("new_room_id")
        if was_in and new_room_id is not None:
            await self._into(user_id, new_room_id)

    async def _into(self, user_id: str, room_id: str) -> None:
        try:
            await self.join(on_behalf_of(user_id), room_id)
        except Unavailable:
            raise
        except MatrixError as error:
            log.info("%s could not be brought into %s: %s", user_id, room_id, error)


def _remember(progress: dict[str, Any], key: str, user_id: str) -> None:
    names = progress.setdefault(key, [])
    if len(names) < MAX_NAMES_TOLD and user_id not in names[-LEFT_AT_ONCE:]:
        names.append(user_id)

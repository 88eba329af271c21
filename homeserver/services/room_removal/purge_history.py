"""What is older than an event or a time leaves the timeline. Messages are deleted; state stays outside of it: what came later
is understood by it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

from homeserver.protocol.errors import InvalidParam, NotFound
from homeserver.services.long_tasks.long_tasks import LongTasks
from homeserver.services.long_tasks.step import AGAIN, DONE, Step
from homeserver.services.rooms.live_room import LiveRoom
from homeserver.services.rooms.room_cache import HIGHEST_POSITION, RoomCache
from homeserver.services.rooms.timeline_event import OUTLIER, TimelineEvent
from homeserver.storage.room_purge import RoomPurge

if TYPE_CHECKING:
    from homeserver.services.audit.audit_log import AuditLog
    from homeserver.services.requester import Requester
    from homeserver.storage.database import Database
    from homeserver.storage.events import Events
    from homeserver.storage.long_tasks import LongTask
    from homeserver.storage.recent import RecentChanges

KIND: Final = "purge_history"


class UnreadCounts(Protocol):
    """`services/unread`."""

    def forget_room(self, room_id: str) -> None:
        """Count anew."""
        ...


@dataclass(frozen=True, slots=True)
class OrderPurge:
    """One verb."""

    database: Database
    purge: RoomPurge
    events: Events
    cache: RoomCache
    tasks: LongTasks
    audit: AuditLog

    async def __call__(
        self, requester: Requester, room_id: str, event_id: str | None, ts: int | None, *, local_too: bool
    ) -> LongTask:
        """Everything before the event, or before the first one that is not older than `ts`.

        `local_too`: messages of users of this server are deleted, too. Without it they stay in the database, where nobody
        reads them: there may be no other copy.
        Raises NotFound, InvalidParam, LimitExceeded.
        """
        room = await self.cache.get(room_id)
        position = await self._before(room, event_id, ts)
        wish = {"before": position, "delete_local_events": local_too}
        async with self.database.transaction() as tx:
            await self.audit.record(
                tx, requester, "room.purge_history", room_id, {**wish, "event_id": event_id, "ts": ts}
            )
            task = await self.tasks.order(tx, requester, KIND, room_id, wish)
        self.tasks.start(task)
        return task

    async def _before(self, room: LiveRoom, event_id: str | None, ts: int | None) -> int:
        if event_id is not None:
            records = await self.events.by_ids(self.database, [event_id])
            if not records or records[0]["room_nid"] != room.room_nid or records[0]["position"] is None:
                raise NotFound("There is no such event in this room")
            return int(records[0]["position"])
        if ts is None:
            raise InvalidParam("Up to which event, or which time?")
        position = await self.purge.first_not_older(self.database, room.room_nid, ts)
        if position is None:
            raise NotFound("There is nothing that old in this room")
        return position


@dataclass(frozen=True, slots=True)
class PurgeHistory:
    """Does what was ordered, a stretch a step."""

    database: Database
    purge: RoomPurge
    cache: RoomCache
    recent: RecentChanges[TimelineEvent]
    unread: UnreadCounts

    async def step(self, task: LongTask) -> Step:
        number = await self.purge.number(self.database, task.target)
        if number is None:
            return DONE
        after, before = task.progress.get("after", -HIGHEST_POSITION), task.wish["before"]
        local_too = task.wish["delete_local_events"]
        if not task.progress.get("timeline_done"):
            end = await self.purge.purge(self.database, number, after, before, OUTLIER, local_too=local_too)
            self._drop(task.target)
            if end is not None:
                task.progress["after"] = end
                return AGAIN
            await self.purge.mark_hole(self.database, number)
            self._drop(task.target)
            self.unread.forget_room(task.target)
            self.recent.forget_up_to(before)
            task.progress.update(timeline_done=True, after=-HIGHEST_POSITION)
            return AGAIN if local_too else DONE
        end = await self.purge.purge_aside(self.database, number, after, before, OUTLIER)
        task.progress["after"] = end
        return DONE if end is None else AGAIN

    def _drop(self, room_id: str) -> None:
        """What is gone is not to be shown from memory."""
        room = self.cache.peek(room_id)
        if room is not None:
            self.cache.retire(room)

    async def finished(self, task: LongTask) -> None:
        """Nothing waits for it."""

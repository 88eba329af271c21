"""A room leaves this server: its people, its names, and every row of it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from homeserver.protocol.errors import InvalidParam, NotFound, Unknown
from homeserver.protocol.identifiers import is_user_id
from homeserver.services.announcer import Announcer, Resolved
from homeserver.services.long_tasks.long_tasks import LongTasks
from homeserver.services.long_tasks.step import AGAIN, DONE, Step
from homeserver.services.room_removal.move_people import MovePeople
from homeserver.services.rooms.blocked_rooms import BlockedRooms
from homeserver.services.rooms.room_cache import RoomCache
from homeserver.services.rooms.timeline_event import OUTLIER, TimelineEvent
from homeserver.storage.room_purge import STAGES, RoomPurge

if TYPE_CHECKING:
    from homeserver.services.audit.audit_log import AuditLog
    from homeserver.services.clock import Clock
    from homeserver.services.directory.published import PublishedRooms
    from homeserver.services.requester import Requester
    from homeserver.storage.aliases import Aliases
    from homeserver.storage.database import Database
    from homeserver.storage.long_tasks import LongTask
    from homeserver.storage.positions import StreamPosition
    from homeserver.storage.recent import RecentChanges
    from homeserver.storage.room_directory import RoomDirectoryRows
    from homeserver.storage.users import Users

KIND: Final = "delete_room"
MAX_NAME: Final = 255
MAX_MESSAGE: Final = 10_000
TELLING_MS: Final = 10_000
"""Between the last departure and the purge, where other servers are in the room: they are sent the departures from the
database.
"""

AliasesChanged = Callable[[str], None]
Stage = Callable[["LongTask", int], Awaitable[Step]]


@dataclass(frozen=True, slots=True)
class DeletionWish:
    """What an administrator wants of it. `force_purge`: though some could not be made to leave."""

    new_room_user_id: str | None = None
    room_name: str | None = None
    message: str | None = None
    block: bool = False
    purge: bool = True
    force_purge: bool = False

    def as_json(self) -> dict[str, Any]:
        return {
            "new_room_user_id": self.new_room_user_id,
            "room_name": self.room_name,
            "message": self.message,
            "block": self.block,
            "purge": self.purge,
            "force_purge": self.force_purge,
        }


@dataclass(frozen=True, slots=True)
class OrderDeletion:
    """One verb: takes the order. The rest is `DeleteRoom`'s."""

    database: Database
    purge: RoomPurge
    users: Users
    blocked: BlockedRooms
    tasks: LongTasks
    audit: AuditLog
    server_name: str

    async def __call__(self, requester: Requester, room_id: str, wish: DeletionWish) -> LongTask | None:
        """The order; None for a room that is not here and is only blocked.

        Raises InvalidParam, Unknown (400: it is being deleted already), LimitExceeded.
        """
        await self._check(wish)
        number = await self.purge.number(self.database, room_id)
        if number is None and not wish.block:
            raise InvalidParam("This server does not know the room")
        if room_id in self.blocked.closing:
            raise Unknown("The room is being deleted already")
        if number is not None:
            # Before anything is awaited: of two orders at once the second is refused.
            self.blocked.closing.add(room_id)
        try:
            task = await self._write_down(requester, room_id, wish, is_here=number is not None)
        except BaseException:
            self.blocked.closing.discard(room_id)
            raise
        if wish.block:
            self.blocked.follow(requester.user_id, room_id, True)
        if task is not None:
            self.tasks.start(task)
        return task

    async def _write_down(
        self, requester: Requester, room_id: str, wish: DeletionWish, *, is_here: bool
    ) -> LongTask | None:
        async with self.database.transaction() as tx:
            if wish.block:
                await self.blocked.block(tx, requester, room_id)
            details = {key: value for key, value in wish.as_json().items() if key != "message"}
            await self.audit.record(tx, requester, "room.delete", room_id, details)
            return await self.tasks.order(tx, requester, KIND, room_id, wish.as_json()) if is_here else None

    async def _check(self, wish: DeletionWish) -> None:
        if len(wish.room_name or "") > MAX_NAME or len(wish.message or "") > MAX_MESSAGE:
            raise InvalidParam(f"'room_name' has at most {MAX_NAME} characters, 'message' {MAX_MESSAGE}")
        owner = wish.new_room_user_id
        if owner is None:
            return
        if not is_user_id(owner) or owner.partition(":")[2] != self.server_name:
            raise InvalidParam("'new_room_user_id' must be a user of this server")
        user = await self.users.get(self.database, owner)
        if user is None or user.is_deactivated:
            raise InvalidParam(f"There is no account {owner}")


@dataclass(frozen=True, slots=True)
class DeleteRoom:
    """Does what was ordered, a stage after the other; `task.progress["stage"]` says which is next."""

    database: Database
    purge: RoomPurge
    move: MovePeople
    blocked: BlockedRooms
    aliases: Aliases
    listed: RoomDirectoryRows
    published: PublishedRooms
    on_aliases_changed: list[AliasesChanged]
    cache: RoomCache
    position: StreamPosition
    recent: RecentChanges[TimelineEvent]
    announcer: Announcer
    clock: Clock
    stages: tuple[str, ...] = field(default=("make_room", "leave", "names", "close", "rows"))

    def keep_closed(self, tasks: LongTasks) -> None:
        """After a restart: rooms that were being deleted stay closed."""
        self.blocked.closing.update(task.target for task in tasks.unfinished(KIND))

    async def step(self, task: LongTask) -> Step:
        """Raises what making the new room raises; Unknown where people are still in the room."""
        number = task.progress.get("room_nid") or await self.purge.number(self.database, task.target)
        if number is None:
            return DONE
        task.progress["room_nid"] = number
        stages: dict[str, Stage] = {
            "make_room": self._make_room,
            "leave": self._leave,
            "names": self._names,
            "close": self._close,
            "rows": self._rows,
        }
        return await stages[task.progress.setdefault("stage", self.stages[0])](task, number)

    async def finished(self, task: LongTask) -> None:
        """Whoever is let in may come again."""
        if task.status == "complete" and task.wish["purge"]:
            # Somebody may have been reading it into memory while it was closed.
            self._drop(task.target)
        self.blocked.closing.discard(task.target)

    def _drop(self, room_id: str) -> None:
        room = self.cache.peek(room_id)
        if room is not None:
            self.cache.retire(room)

    def _go_on(self, task: LongTask) -> Step:
        task.progress["stage"] = self.stages[self.stages.index(task.progress["stage"]) + 1]
        return AGAIN

    async def _make_room(self, task: LongTask, room_nid: int) -> Step:
        await self.move.make_room(task)
        return self._go_on(task)

    async def _leave(self, task: LongTask, room_nid: int) -> Step:
        return AGAIN if await self.move.some(task, room_nid) else self._go_on(task)

    async def _names(self, task: LongTask, room_nid: int) -> Step:
        """Names go to the new room, or altogether; nobody finds the old one in the directory."""
        new_room_id = task.progress.get("new_room_id")
        async with self.database.transaction() as tx:
            names = await self.purge.aliases(tx, room_nid)
            if new_room_id is not None:
                await self.aliases.move(tx, room_nid, new_room_id)
            else:
                await self.aliases.delete_of_room(tx, room_nid)
            await self.listed.unpublish(tx, task.target)
        task.progress["local_aliases"] = names
        self.published.remove(task.target)
        for listener in self.on_aliases_changed:
            for room_id in (task.target, *([] if new_room_id is None else [new_room_id])):
                listener(room_id)
        if not task.wish["purge"]:
            return DONE
        self._go_on(task)
        return Step(not_before_ms=self.clock.now_ms() + TELLING_MS) if await self._is_shared(task.target) else AGAIN

    async def _is_shared(self, room_id: str) -> bool:
        try:
            return bool((await self.cache.get(room_id)).servers)
        except NotFound:
            return False

    async def _close(self, task: LongTask, room_nid: int) -> Step:
        """From here on this server is not in the room, whatever still comes for it."""
        still = await self.purge.inside(self.database, room_nid, "", 100)
        if still and not task.wish["force_purge"]:
            raise Unknown(f"Users are still in the room, {still[0][0]} among them")
        async with self.database.transaction() as tx:
            await self.purge.close(tx, room_nid, OUTLIER)
        self._drop(task.target)
        # What was said there is in memory, too.
        self.recent.forget_up_to(self.position.current)
        if still:
            went = [("m.room.member", user_id) for user_id, _ in still]
            self.announcer.announce_resolved(Resolved(task.target, (), went, went))
        return self._go_on(task)

    async def _rows(self, task: LongTask, room_nid: int) -> Step:
        stage = task.progress.setdefault("table", 0)
        if stage == STAGES:
            return DONE
        if not await self.purge.delete_some(self.database, stage, room_nid, task.target):
            task.progress["table"] = stage + 1
        return AGAIN


def shown(task: LongTask) -> dict[str, Any]:
    """What has become of the room's people and names."""
    progress = task.progress
    return {
        "kicked_users": progress.get("kicked_users", []),
        "failed_to_kick_users": progress.get("failed_to_kick_users", []),
        "local_aliases": progress.get("local_aliases", []),
        "new_room_id": progress.get("new_room_id"),
    }

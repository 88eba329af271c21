"""An administrator has everything redacted that a user has said, in some rooms or in all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from homeserver.protocol.errors import InvalidParam, MatrixError, NotFound, Unavailable
from homeserver.protocol.identifiers import is_room_id, parse_user_id
from homeserver.services.long_tasks.long_tasks import LongTasks
from homeserver.services.long_tasks.step import AGAIN, DONE, Step
from homeserver.services.requester import Requester, on_behalf_of
from homeserver.services.rooms.live_room import LiveRoom
from homeserver.services.rooms.redact_event import RedactEvent
from homeserver.services.rooms.room_cache import HIGHEST_POSITION, RoomCache
from homeserver.services.rooms.timeline_event import REDACTED
from homeserver.storage.user_events import UserEventRows

if TYPE_CHECKING:
    from homeserver.services.audit.audit_log import AuditLog
    from homeserver.storage.database import Database, Queries
    from homeserver.storage.long_tasks import LongTask

KIND: Final = "redact_user"
DEFAULT_LIMIT: Final = 1_000
MAX_LIMIT: Final = 1_000_000
MAX_ROOMS: Final = 10_000
MAX_REASON: Final = 1_000
LOOKED_AT: Final = 5_000
REDACTED_AT_ONCE: Final = 20
MAX_FAILURES_TOLD: Final = 1_000


@dataclass(frozen=True, slots=True)
class RedactionWish:
    """`limit`: events of each room. No rooms: all that he is, or was, in. `use_admin`: never in his own name."""

    rooms: Sequence[str] = ()
    reason: str | None = None
    limit: int = DEFAULT_LIMIT
    use_admin: bool = False
    before_ts: int | None = None
    after_ts: int | None = None


@dataclass(frozen=True, slots=True)
class OrderRedaction:
    """One verb."""

    database: Database
    rows: UserEventRows
    tasks: LongTasks
    audit: AuditLog

    async def __call__(self, requester: Requester, user_id: str, wish: RedactionWish) -> LongTask:
        """Raises InvalidParam, LimitExceeded."""
        parse_user_id(user_id)
        _check(wish)
        rooms = list(dict.fromkeys(wish.rooms)) or (await self.rows.rooms(self.database, user_id))[:MAX_ROOMS]
        stored = {
            "rooms": rooms,
            "reason": wish.reason,
            "limit": wish.limit,
            "use_admin": wish.use_admin,
            "before_ts": wish.before_ts,
            "after_ts": wish.after_ts,
        }
        async with self.database.transaction() as tx:
            await self.audit.record(tx, requester, "user.redact", user_id, {**stored, "rooms": len(rooms)})
            task = await self.tasks.order(tx, requester, KIND, user_id, stored)
        self.tasks.start(task)
        return task


def _check(wish: RedactionWish) -> None:
    if not 0 < wish.limit <= MAX_LIMIT:
        raise InvalidParam(f"'limit' is between 1 and {MAX_LIMIT}")
    if len(wish.rooms) > MAX_ROOMS or not all(map(is_room_id, wish.rooms)):
        raise InvalidParam(f"'rooms' are at most {MAX_ROOMS} room ids")
    if len(wish.reason or "") > MAX_REASON:
        raise InvalidParam(f"'reason' has at most {MAX_REASON} characters")
    if any(not -(2**62) < ts < 2**62 for ts in (wish.before_ts or 0, wish.after_ts or 0)):
        raise InvalidParam("Times are milliseconds since 1970")


@dataclass(frozen=True, slots=True)
class RedactAll:
    """Does it, some events a step, one room after the other. `progress`: `room`, `before`, `done` in it, `failed`."""

    queries: Queries
    rows: UserEventRows
    cache: RoomCache
    redact: RedactEvent
    server_name: str

    async def step(self, task: LongTask) -> Step:
        """Raises nothing: what cannot be redacted is told."""
        number = task.progress.setdefault("room", 0)
        if number >= len(task.wish["rooms"]):
            return DONE
        if not await self._some(task, task.wish["rooms"][number]):
            task.progress.update(room=number + 1, before=HIGHEST_POSITION, done=0)
        return AGAIN

    async def finished(self, task: LongTask) -> None:
        """Nothing waits for it."""

    async def _some(self, task: LongTask, room_id: str) -> bool:
        """The next events of the room; False where there are no more."""
        try:
            room = await self.cache.get(room_id)
        except NotFound:
            return False
        wish, progress = task.wish, task.progress
        left = wish["limit"] - progress.get("done", 0)
        stretch = await self.rows.stretch(
            self.queries, room.room_nid, task.target, REDACTED, progress.get("before", HIGHEST_POSITION), LOOKED_AT,
            min(left, REDACTED_AT_ONCE), wish["before_ts"], wish["after_ts"],
        )  # fmt: skip
        if stretch.end is None or left <= 0:
            return False
        for event_id, position in stretch.events:
            await self._one(task, room, event_id)
            progress["before"] = position
            progress["done"] = progress.get("done", 0) + 1
        if len(stretch.events) < REDACTED_AT_ONCE:
            progress["before"] = stretch.end
        return True

    async def _one(self, task: LongTask, room: LiveRoom, event_id: str) -> None:
        reason = task.wish["reason"]
        content: dict[str, Any] = {} if reason is None else {"reason": reason}
        try:
            # The same transaction again, after a restart, is the same redaction.
            await self.redact(self._speaker(task, room), room.room_id, event_id, content, task.task_id)
        except Unavailable:
            raise
        except MatrixError as error:
            failed = task.progress.setdefault("failed", {})
            if len(failed) < MAX_FAILURES_TOLD:
                failed[event_id] = error.message

    def _speaker(self, task: LongTask, room: LiveRoom) -> Requester:
        is_ours = task.target.endswith(f":{self.server_name}")
        if is_ours and not task.wish["use_admin"] and room.membership(task.target) == "join":
            return on_behalf_of(task.target)
        return Requester(task.ordered_by, None, device_nid=0, token_id=0, is_guest=False, is_admin=True)


def shown(task: LongTask) -> dict[str, Any]:
    """How far it is, as Synapse's tools know it."""
    if task.status == "complete":
        return {"status": "complete", "failed_redactions": task.progress.get("failed", {})}
    if task.status == "failed":
        return {"status": "failed", "error": task.error or "See the log of the server"}
    return {"status": task.status}

"""Takes orders for long work, does them in steps, and says how far they are."""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from homeserver.protocol.errors import LimitExceeded, MatrixError, NotFound, Unavailable
from homeserver.services.long_tasks.step import Handler
from homeserver.storage.long_tasks import LongTask, LongTaskRows

if TYPE_CHECKING:
    from homeserver.services.clock import Clock
    from homeserver.services.requester import Requester
    from homeserver.storage.database import Database, Queries

log = logging.getLogger(__name__)

MAX_UNFINISHED: Final = 1_000
MAX_TOLD: Final = 100
KEPT_MS: Final = 7 * 24 * 60 * 60_000
PAUSE_MS: Final = 1_000
"""Before a step that may not begin yet, or has met a database that is away, is tried again."""


@dataclass(slots=True)
class _Open:
    task: LongTask
    not_before_ms: int = 0
    done: asyncio.Event = field(default_factory=asyncio.Event)


@dataclass(slots=True)
class LongTasks:
    """One process does them. `handlers` by kind of work."""

    database: Database
    rows: LongTaskRows
    clock: Clock
    handlers: dict[str, Handler] = field(default_factory=dict)
    _open: OrderedDict[str, _Open] = field(default_factory=OrderedDict)
    _arrived: asyncio.Event = field(default_factory=asyncio.Event)
    _runner: asyncio.Task[None] | None = None

    async def load(self) -> None:
        """What an earlier start has left undone."""
        for task in await self.rows.unfinished(self.database):
            if task.kind in self.handlers:
                self._open[task.task_id] = _Open(task)

    async def begin(self) -> None:
        """From now on, work."""
        if self._open:
            self._arrived.set()
        self._runner = asyncio.create_task(self._run(), name="long-tasks")

    async def stop(self) -> None:
        """What is not finished goes on after the next start."""
        if self._runner is not None:
            self._runner.cancel()
            await asyncio.gather(self._runner, return_exceptions=True)

    async def order(
        self, q: Queries, requester: Requester, kind: str, target: str, wish: Mapping[str, Any]
    ) -> LongTask:
        """Write an order down; `start` it once that is committed. Raises LimitExceeded where too many are open."""
        task = LongTask(
            task_id=secrets.token_urlsafe(16),
            kind=kind,
            target=target,
            ordered_by=requester.user_id,
            wish=dict(wish),
            ordered_ms=self.clock.now_ms(),
        )
        if not await self.rows.add(q, task, MAX_UNFINISHED):
            raise LimitExceeded("Too much is going on already", retry_after_ms=60_000)
        return task

    def start(self, task: LongTask) -> None:
        """It is committed: begin."""
        self._open[task.task_id] = _Open(task)
        self._arrived.set()

    async def get(self, kind: str, task_id: str) -> LongTask:
        """How far it is. Raises NotFound."""
        found = self._open.get(task_id)
        task = found.task if found is not None else await self.rows.get(self.database, task_id, kind)
        if task is None or task.kind != kind:
            raise NotFound("There is no such task")
        return task

    async def of_target(self, kind: str, target: str) -> list[LongTask]:
        """All orders about a room or user that are still known, the newest first; at most `MAX_TOLD`."""
        return await self.rows.of_target(self.database, target, kind, MAX_TOLD)

    def unfinished(self, kind: str) -> list[LongTask]:
        """Those of one kind."""
        return [each.task for each in self._open.values() if each.task.kind == kind]

    async def wait(self, task: LongTask) -> LongTask:
        """Return when the work is done, or has failed."""
        found = self._open.get(task.task_id)
        if found is not None:
            await found.done.wait()
        return task

    async def settled(self) -> None:
        """Return when nothing is open."""
        while self._open:
            await next(iter(self._open.values())).done.wait()

    async def tidy(self) -> None:
        """Housekeeping: forget what was finished long ago."""
        await self.rows.forget(self.database, self.clock.now_ms() - KEPT_MS)

    # -- the work ----------------------------------------------------------------------------------

    async def _run(self) -> None:
        while True:
            await self._arrived.wait()
            self._arrived.clear()
            while self._open:
                if not await self._turn():
                    await self.clock.sleep(ms=PAUSE_MS)

    async def _turn(self) -> bool:
        """One step of each that may go on; False where there was none."""
        moved = False
        for each in list(self._open.values()):
            if each.not_before_ms <= self.clock.now_ms():
                moved = True
                await self._step(each)
        return moved

    async def _step(self, each: _Open) -> None:
        task = each.task
        try:
            task.status = "active"
            step = await self.handlers[task.kind].step(task)
            each.not_before_ms = step.not_before_ms
            if step.done:
                task.status, task.finished_ms = "complete", self.clock.now_ms()
            await self.rows.save(self.database, task)
        except Unavailable:
            each.not_before_ms = self.clock.now_ms() + PAUSE_MS
        except MatrixError as error:
            await self._fail(task, error.message)
        except Exception:
            log.exception("%s of %s failed", task.kind, task.target)
            await self._fail(task, "Something went wrong inside the server")
        if task.finished_ms is not None:
            await self._close(each)

    async def _fail(self, task: LongTask, why: str) -> None:
        task.status, task.error, task.finished_ms = "failed", why, self.clock.now_ms()
        try:
            await self.rows.save(self.database, task)
        except Unavailable:
            log.warning("%s of %s failed and will be tried again at the next start", task.kind, task.target)
        except Exception:
            # Everything else that was ordered goes on.
            log.exception("%s of %s failed, and that cannot be written down", task.kind, task.target)

    async def _close(self, each: _Open) -> None:
        self._open.pop(each.task.task_id, None)
        try:
            await self.handlers[each.task.kind].finished(each.task)
        except Exception:
            log.exception("after %s of %s", each.task.kind, each.task.target)
        each.done.set()

    def memory_usage(self) -> dict[str, int]:
        """Counts for the memory report."""
        return {"open": len(self._open)}

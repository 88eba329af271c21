"""Keeps one worker running: starts it, starts it again when it dies."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from typing import Final

from voice.sfu.backend import SfuUnavailable
from voice.sfu.embedded.supervisor_child import Child, WorkerFailed

_log = logging.getLogger(__name__)

FIRST_PAUSE_S: Final = 0.5
LONGEST_PAUSE_S: Final = 30.0
GOOD_LIFE_S: Final = 60.0
"""Who lived so long did not die of his beginning."""


def pauses() -> Iterator[float]:
    """Seconds before each new attempt: none at first, as people wait for their call."""
    yield 0.0
    pause = FIRST_PAUSE_S
    while True:
        yield pause
        pause = min(2 * pause, LONGEST_PAUSE_S)


@dataclass(slots=True, eq=False)
class Keeper:
    """Of the worker with this number. `begin` starts a process and tells it what it has to know."""

    number: int
    begin: Callable[[int], Awaitable[Child]]
    """Raises WorkerFailed or SfuUnavailable."""
    ended: Callable[[int], None]
    """Called when a worker that was running is gone."""
    child: Child | None = None
    failure: WorkerFailed | None = None
    """Of the last attempt."""
    deaths: int = 0
    _up: asyncio.Event = field(default_factory=asyncio.Event)
    _tried: asyncio.Event = field(default_factory=asyncio.Event)
    _task: asyncio.Task[None] | None = None

    @property
    def started(self) -> bool:
        return self._task is not None

    @property
    def starting(self) -> bool:
        """For the first time."""
        return self.started and not self._tried.is_set()

    def start(self) -> None:
        self._task = asyncio.create_task(self._keep(), name=f"voice-worker-{self.number}")

    async def first_attempt(self) -> None:
        """Raises WorkerFailed where it came to nothing."""
        await self._tried.wait()
        if self.failure is not None:
            raise self.failure

    async def reach(self, patience_s: float) -> Child:
        """The running worker; waits for one that is on its way. Raises SfuUnavailable."""
        try:
            async with asyncio.timeout(patience_s):
                await self._up.wait()
        except TimeoutError:
            pass
        if self.child is None:
            raise SfuUnavailable(f"Voice worker {self.number} is not running")
        return self.child

    async def stop(self) -> None:
        if self._task is None:
            return
        child = self.child
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task
        self._task = None
        if child is not None:
            await child.stop()

    async def _keep(self) -> None:
        pause = pauses()
        while True:
            lived_s = await self._one_life()
            if lived_s > GOOD_LIFE_S:
                pause = pauses()
            await asyncio.sleep(next(pause))

    async def _one_life(self) -> float:
        """Its length in seconds; 0 where it never began."""
        try:
            child = await self.begin(self.number)
        except (WorkerFailed, SfuUnavailable) as error:
            self._failed(error)
            return 0.0
        began = time.monotonic()
        self.child, self.failure = child, None
        self._up.set()
        self._tried.set()
        try:
            await child.over()
        finally:
            self.child = None
            self._up.clear()
        self.deaths += 1
        _log.error("voice worker %d died; it is started again", self.number)
        self.ended(self.number)
        return time.monotonic() - began

    def _failed(self, error: Exception) -> None:
        self.failure = error if isinstance(error, WorkerFailed) else WorkerFailed(str(error))
        self._tried.set()
        _log.error("voice worker %d does not start: %s", self.number, error)

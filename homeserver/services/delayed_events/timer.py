"""The one timer: sleeps until the next delayed event is due, and sends what is."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass, field

from homeserver.services.clock import Clock
from homeserver.services.delayed_events.finalise import RETRY_MS, Finalise
from homeserver.services.delayed_events.timetable import Scheduled, Timetable

# Contents of events are read by the batch: at most 16 MiB of them at a time.
BATCH = 64
BATCHES_AT_ONCE = 4
# The wall clock may be set while we sleep.
LONGEST_SLEEP_MS = 60_000

log = logging.getLogger(__name__)


@dataclass(slots=True)
class DelayTimer:
    """Started before the first request, stopped after the last."""

    timetable: Timetable
    finalise: Finalise
    clock: Clock
    _task: asyncio.Task[None] | None = None
    _batches: set[asyncio.Task[None]] = field(default_factory=set)

    async def start(self) -> None:
        """Begin; what is overdue is sent at once."""
        self._task = asyncio.create_task(self._run(), name="delayed-events")

    async def stop(self) -> None:
        """What is being sent just now is sent to its end."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        await asyncio.gather(*self._batches, return_exceptions=True)

    async def _run(self) -> None:
        while True:
            self.timetable.changed.clear()
            due = self.timetable.take_due(self.clock.now_ms(), BATCH)
            if not due:
                await self._sleep()
                continue
            # Not one after the other: a room that takes long holds up nobody else's events.
            batch = asyncio.create_task(self._send(due))
            self._batches.add(batch)
            batch.add_done_callback(self._batches.discard)
            if len(self._batches) >= BATCHES_AT_ONCE:
                await asyncio.wait(self._batches, return_when=asyncio.FIRST_COMPLETED)

    async def _send(self, due: Sequence[Scheduled]) -> None:
        try:
            await self.finalise.send_due(due)
        except Exception:
            log.exception("delayed events could not be sent; they will be tried again")
            for entry in due:
                entry.not_before = self.clock.now_ms() + RETRY_MS
        finally:
            self.timetable.release(due)

    async def _sleep(self) -> None:
        """Until something is due, or something is scheduled that is due earlier."""
        next_due_ms = self.timetable.next_due_ms()
        ms = LONGEST_SLEEP_MS
        if next_due_ms is not None:
            ms = min(ms, max(1, next_due_ms - self.clock.now_ms()))
        tasks = [
            asyncio.create_task(self.clock.sleep(ms=ms)),
            asyncio.create_task(self.timetable.changed.wait()),
        ]  # fmt: skip
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()

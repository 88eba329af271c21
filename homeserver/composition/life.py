"""The life of the server: what is started before the first request, repeated meanwhile, and stopped after the last."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

from homeserver.services.clock import Clock

log = logging.getLogger(__name__)

Step = Callable[[], Awaitable[None]]
MemoryUsage = Callable[[], Mapping[str, int]]


@dataclass(slots=True)
class Lifecycle:
    """Steps run in the order in which they were registered; stopping goes backwards."""

    clock: Clock
    memory: dict[str, MemoryUsage] = field(default_factory=dict)
    """Who can say what he holds in memory, by the service's name."""
    _starts: list[Step] = field(default_factory=list)
    _started: list[Step] = field(default_factory=list)
    _stops: list[Step] = field(default_factory=list)
    _repeats: list[tuple[str, int, Step]] = field(default_factory=list)
    _tasks: list[asyncio.Task[None]] = field(default_factory=list)

    def on_start(self, step: Step) -> None:
        """Before the first request: load positions, start tasks."""
        self._starts.append(step)

    def on_started(self, step: Step) -> None:
        """After all start steps, and before the first request: begin what tells everybody else of something."""
        self._started.append(step)

    def on_stop(self, step: Step) -> None:
        """After the last request."""
        self._stops.append(step)

    def every(self, interval_ms: int, step: Step, name: str) -> None:
        """Repeat while the server runs. A failure is logged and does not end the repetition."""
        self._repeats.append((name, interval_ms, step))

    def reports_memory(self, name: str, usage: MemoryUsage) -> None:
        """Include a service in the memory report."""
        self.memory[name] = usage

    async def start(self) -> None:
        """Run the start steps, then begin repeating."""
        for step in (*self._starts, *self._started):
            await step()
        for name, interval_ms, step in self._repeats:
            self._tasks.append(asyncio.create_task(self._repeat(name, interval_ms, step), name=name))

    async def stop(self) -> None:
        """End the repetitions, then run the stop steps backwards; all of them, even if one fails."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks.clear()
        for step in reversed(self._stops):
            try:
                await step()
            except Exception:
                log.exception("a stop step failed")

    async def _repeat(self, name: str, interval_ms: int, step: Step) -> None:
        while True:
            await self.clock.sleep(ms=interval_ms)
            try:
                await step()
            except Exception:
                log.exception("%s failed; it will be tried again", name)

"""One piece of work at a time for each key: whoever asks meanwhile waits for the same answer."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

Answer = TypeVar("Answer")


class SingleFlight(Generic[Answer]):
    """Work runs in a task of its own: a caller that is cancelled does not take it away from the others."""

    __slots__ = ("_running",)

    def __init__(self) -> None:
        self._running: dict[str, asyncio.Task[Answer]] = {}

    async def run(self, key: str, work: Callable[[], Awaitable[Answer]]) -> Answer:
        """The answer of the work under way for this key, or of this work."""
        task = self._running.get(key)
        if task is None:
            task = self._running[key] = asyncio.create_task(_run(work))
            task.add_done_callback(lambda done: self._done(key, done))
        return await asyncio.shield(task)

    def is_running(self, key: str) -> bool:
        """Whether somebody who asks now waits for work that has begun."""
        return key in self._running

    def _done(self, key: str, task: asyncio.Task[Answer]) -> None:
        self._running.pop(key, None)
        if not task.cancelled():
            task.exception()  # looked at, also where everybody who waited is gone

    async def stop(self) -> None:
        """Give up what is under way."""
        running = list(self._running.values())
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)

    def __len__(self) -> int:
        return len(self._running)


async def _run(work: Callable[[], Awaitable[Answer]]) -> Answer:
    return await work()

"""What has to be asked of LiveKit because of what it told, and nobody waits for."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from dataclasses import dataclass, field
from typing import Any

from voice.sfu.backend import SfuUnavailable

log = logging.getLogger(__name__)


@dataclass(slots=True)
class Errands:
    """What fails is found again by the next look at the room."""

    _tasks: set[asyncio.Task[Any]] = field(default_factory=set)

    def run(self, errand: Coroutine[Any, Any, object]) -> None:
        task = asyncio.create_task(errand)
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if task.cancelled() or (failure := task.exception()) is None:
            return
        if isinstance(failure, SfuUnavailable):
            log.warning("LiveKit was not told of somebody who may not do what he does: %s", failure)
        else:
            log.error("LiveKit was not told of somebody who may not do what he does", exc_info=failure)

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

"""A process that waits for a worker to die: loading the program takes most of a start, and people in a call would wait."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from dataclasses import dataclass
from typing import Final

from voice.sfu.embedded.supervisor_child import Spawned, WorkerFailed, spawn

_log = logging.getLogger(__name__)

QUIET_S: Final = 10.0
"""Not while people come, who need the processor themselves."""


@dataclass(slots=True, eq=False)
class Spare:
    """At most one; kept while there are calls."""

    quiet_s: float = QUIET_S
    _spawning: asyncio.Task[None] | None = None
    _spawned: Spawned | None = None

    @property
    def is_there(self) -> bool:
        return self._spawned is not None

    def want(self) -> None:
        if self._spawned is None and self._spawning is None:
            self._spawning = asyncio.create_task(self._spawn(), name="spare-voice-worker")

    async def _spawn(self) -> None:
        try:
            await asyncio.sleep(self.quiet_s)
            self._spawned = await spawn()
        except WorkerFailed as error:
            _log.warning("there is no spare voice worker: %s", error)
        finally:
            self._spawning = None

    async def take(self) -> Spawned:
        """The spare one, or one that has to load first. Raises WorkerFailed."""
        spawned, self._spawned = self._spawned, None
        if spawned is None:
            return await spawn()
        if spawned.process.returncode is not None:
            await spawned.end()
            return await spawn()
        return spawned

    async def drop(self) -> None:
        """Nobody needs it any more."""
        if self._spawning is not None:
            self._spawning.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._spawning
        spawned, self._spawned = self._spawned, None
        if spawned is not None:
            await spawned.end()

"""A worker inside of the homeserver (`voice.workers: 0`), for tests and for machines with little memory.

A busy homeserver is heard here. Nothing is opened before the first call.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from voice.sfu.backend import SfuListener, SfuUnavailable
from voice.sfu.embedded.backend import Restore
from voice.sfu.embedded.control import Address, Configure, Count, Numbers, Ready, Result, Verb
from voice.sfu.embedded.worker_station import Station, open_station


@dataclass(slots=True, eq=False)
class InProcessWorker:
    station: Station
    number: int = 0

    @property
    def signalling(self) -> Address:
        return self.station.ready.signalling

    async def ask(self, verb: Verb) -> Result:
        result = self.station.perform(verb)
        if result.refused:
            raise SfuUnavailable(result.refused)
        return result


@dataclass(slots=True, eq=False)
class InProcessCrew:
    """A `Crew` of one."""

    configuration: Configure
    most: int = 1
    _listener: SfuListener | None = None
    _worker: InProcessWorker | None = None
    _opening: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def start(self, listener: SfuListener, lost: Callable[[int], None], restore: Restore) -> None:
        self._listener = listener

    async def stop(self) -> None:
        self._listener = None
        if self._worker is not None:
            await self._worker.station.close()
            self._worker = None

    def running(self) -> Sequence[InProcessWorker]:
        return [] if self._worker is None else [self._worker]

    async def reach(self, number: int) -> InProcessWorker:
        async with self._opening:
            if self._worker is None:
                self._worker = InProcessWorker(await self._open())
        return self._worker

    async def _open(self) -> Station:
        if self._listener is None:
            raise SfuUnavailable("Voice is not running")
        try:
            return await open_station(self.configuration, self._listener)
        except OSError as error:
            raise SfuUnavailable(f"The media port of voice cannot be opened: {error}") from error

    def has(self, number: int) -> bool:
        return number == 0 and self._worker is not None

    def grow(self) -> None:
        """There is one and no more."""

    async def in_use(self, people: bool) -> None:
        """It cannot die alone."""

    def deaths(self) -> int:
        return 0

    def numbers(self) -> dict[int, Numbers]:
        found = {worker.number: worker.station.perform(Count()).numbers for worker in self.running()}
        return {number: numbers for number, numbers in found.items() if numbers is not None}

    def ready(self) -> Sequence[Ready]:
        return [worker.station.ready for worker in self.running()]

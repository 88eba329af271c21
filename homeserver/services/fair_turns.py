"""Who may do something costly now: a few at a time, and of one party fewer still."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from weakref import WeakValueDictionary


@dataclass(slots=True)
class FairTurns:
    """First come, first served; whoever asks for much waits for himself. `of_one`: how many a party has at once."""

    at_once: int
    of_one: int = 1
    _all: asyncio.Semaphore = field(init=False)
    _by_party: WeakValueDictionary[str, asyncio.Semaphore] = field(default_factory=WeakValueDictionary)

    def __post_init__(self) -> None:
        self._all = asyncio.Semaphore(self.at_once)

    @asynccontextmanager
    async def of(self, party: str) -> AsyncIterator[None]:
        """`async with turns.of(user_id):`."""
        own = self._by_party.setdefault(party, asyncio.Semaphore(self.of_one))
        async with own, self._all:
            yield


@dataclass(slots=True)
class Breath:
    """Of work that holds the event loop: others run whenever so much of it was done."""

    between: int
    _done: int = 0

    async def after(self, work: int) -> None:
        """So much more has been done."""
        self._done += work
        if self._done > self.between:
            self._done = 0
            await asyncio.sleep(0)

"""Servers that fail are left alone for a while, longer each time: known in memory, and stored for the next start."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from homeserver.federation.bounded import Bounded
from homeserver.federation.errors import DestinationPaused
from homeserver.storage.unreachable_servers import Pause, UnreachableServerRows

if TYPE_CHECKING:
    from homeserver.services.clock import Clock
    from homeserver.storage.database import Database

MAX_SERVERS: Final = 10_000
"""Failing ones; strangers can name servers that do not exist. Beyond it, those are forgotten that were not asked for longest."""
STORE_INTERVAL_MS: Final = 5_000
FORGET_AFTER_MS: Final = 30 * 24 * 60 * 60_000
SPREAD: Final = 0.2
"""Pauses are up to this much longer or shorter, so that not all servers come back at the same moment."""


def _pauses() -> Bounded[str, Pause]:
    return Bounded(MAX_SERVERS)


@dataclass(slots=True)
class Pauses:
    """`random` gives numbers from 0 to 1. With `initial_ms` 0 nobody is ever left alone."""

    database: Database
    rows: UnreachableServerRows
    clock: Clock
    random: Callable[[], float]
    initial_ms: int
    max_ms: int
    _pauses: Bounded[str, Pause] = field(default_factory=_pauses)
    _changed: set[str] = field(default_factory=set)
    _listeners: list[Callable[[str], None]] = field(default_factory=list)

    async def load(self) -> None:
        """What was stored before this start, oldest first so that the newest are forgotten last."""
        since_ms = self.clock.now_ms() - self.max_ms
        stored = await self.rows.newest(self.database, since_ms, MAX_SERVERS)
        for server_name, pause in reversed(stored.items()):
            self._pauses.put(server_name, pause)

    def on_reached(self, listener: Callable[[str], None]) -> None:
        """Be told of each server that answers or speaks, every time. Listeners are synchronous and must be quick."""
        self._listeners.append(listener)

    def check(self, server_name: str) -> None:
        """Raises DestinationPaused until it is time to try again."""
        if self.clock.now_ms() < self.retry_at_ms(server_name):
            raise DestinationPaused("The other server could not be reached; it will be tried again later")

    def retry_at_ms(self, server_name: str) -> int:
        """When it may be tried again; 0 where nothing is known against it."""
        pause = self._pauses.get(server_name)
        return 0 if pause is None else pause.retry_at_ms

    def pause_of(self, server_name: str) -> Pause | None:
        """What is held against it."""
        return self._pauses.get(server_name)

    def failing(self) -> Mapping[str, Pause]:
        """Those against which something is held, and what."""
        return self._pauses.snapshot()

    def failed(self, server_name: str) -> None:
        """It could not be reached, or could not cope. Attempts that were under way together count once."""
        now_ms, before = self.clock.now_ms(), self._pauses.get(server_name)
        if before is not None and now_ms < before.retry_at_ms:
            return
        pause_ms = self.initial_ms if before is None else min(before.pause_ms * 2, self.max_ms)
        spread = round(pause_ms * SPREAD * (2 * self.random() - 1))
        since_ms = now_ms if before is None else before.failing_since_ms
        forgotten = self._pauses.put(server_name, Pause(since_ms, pause_ms, now_ms + pause_ms + spread))
        self._changed.add(server_name)
        if forgotten is not None:
            self._changed.add(forgotten)

    def reached(self, server_name: str) -> None:
        """It answered, or asked us something: nothing is held against it any more."""
        if self._pauses.pop(server_name) is not None:
            self._changed.add(server_name)
        for listener in self._listeners:
            listener(server_name)

    async def store(self) -> None:
        """Write what has changed: two statements, however many servers."""
        changed, self._changed = self._changed, set()
        now = {name: pause for name in changed if (pause := self._pauses.get(name)) is not None}
        gone = changed - now.keys()
        try:
            if now:
                await self.rows.put(self.database, now)
            if gone:
                await self.rows.forget(self.database, gone)
        except BaseException:
            self._changed |= changed
            raise

    async def tidy(self) -> None:
        """Housekeeping: servers that nobody has wanted to reach for a month."""
        await self.rows.forget_before(self.database, self.clock.now_ms() - FORGET_AFTER_MS)

    def memory_usage(self) -> Mapping[str, int]:
        """Servers that are failing."""
        return {"failing": len(self._pauses)}

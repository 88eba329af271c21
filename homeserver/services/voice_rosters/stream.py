"""Which channels changed, for sync: in memory only, as what changed is.

Talking begins and ends several times a second where many talk, so a roster is told at most five times a second, and
less often the longer it is. Who comes and goes is told at once, but for those who do it all the time.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Collection
from dataclasses import dataclass, field
from itertools import takewhile
from typing import TYPE_CHECKING

from homeserver.storage.positions import StreamPosition

if TYPE_CHECKING:
    from homeserver.services.announcer import Announcer
    from homeserver.services.clock import Clock

SHORTEST_INTERVAL_MS = 200
# A roster of a thousand has some 150 kB, and everybody in the room gets it.
INTERVAL_MS_PER_SEAT = 4
LONGEST_INTERVAL_MS = 10_000
MAX_ROOMS_REMEMBERED = 10_000
# Each wakes everybody in the room: so many at once, then one every SHORTEST_INTERVAL_MS.
BURST = 25


@dataclass(slots=True)
class Changes:
    """The position of each room's last change."""

    _positions: OrderedDict[str, int] = field(default_factory=OrderedDict)

    def put(self, room_id: str, position: int) -> str | None:
        """Remember a change; returns the room that had to be forgotten for it."""
        self._positions[room_id] = position
        self._positions.move_to_end(room_id)
        return self._positions.popitem(last=False)[0] if len(self._positions) > MAX_ROOMS_REMEMBERED else None

    def since(self, position: int) -> list[str]:
        """Rooms that changed after this position."""
        newest_first = reversed(self._positions.items())
        return [room_id for room_id, _ in takewhile(lambda change: change[1] > position, newest_first)]

    def __len__(self) -> int:
        return len(self._positions)


@dataclass(slots=True)
class RosterStream:
    """Begins at the clock's time, so that no token of an earlier process is ahead of it."""

    announcer: Announcer
    clock: Clock
    position: StreamPosition = field(default_factory=lambda: StreamPosition("voice"))
    rosters: Changes = field(default_factory=Changes)
    channels: Changes = field(default_factory=Changes)
    """Channels whose people changed, as spaces tell it."""
    _told_ms: dict[str, int] = field(default_factory=dict)
    # When each of these rooms may be told BURST times at once again.
    _rested_ms: dict[str, int] = field(default_factory=dict)
    # When each of these rooms is told next.
    _waiting: dict[str, int] = field(default_factory=dict)
    _telling: asyncio.Task[None] | None = None

    async def load(self) -> None:
        """Start the stream; once, before the first request."""
        self.position.load(self.clock.now_ms())

    async def stop(self) -> None:
        """What waits is told no more: clients begin anew with the next process."""
        if self._telling is not None:
            self._telling.cancel()
            await asyncio.gather(self._telling, return_exceptions=True)

    def changed(self, room_id: str) -> None:
        """Somebody came or went: told at once, where that does not go on and on."""
        now_ms = self.clock.now_ms()
        rested_ms = max(self._rested_ms.get(room_id, 0), now_ms) + SHORTEST_INTERVAL_MS
        if rested_ms - now_ms > BURST * SHORTEST_INTERVAL_MS:
            self._tell_later(room_id, now_ms + SHORTEST_INTERVAL_MS)
        else:
            self._rested_ms[room_id] = rested_ms
            self._tell(room_id, now_ms)

    def flickered(self, room_id: str, seats: int) -> None:
        """Somebody in a channel of so many began or stopped to talk, muted himself: told soon."""
        if room_id in self._waiting:
            return
        interval = min(LONGEST_INTERVAL_MS, max(SHORTEST_INTERVAL_MS, INTERVAL_MS_PER_SEAT * seats))
        due_ms = self._told_ms.get(room_id, 0) + interval
        if due_ms <= self.clock.now_ms():
            self._tell(room_id, self.clock.now_ms())
        else:
            self._tell_later(room_id, due_ms)

    def channels_changed(self, room_ids: Collection[str], spaces: Collection[str]) -> list[str]:
        """The people of these channels changed, which members of these spaces see. Returns what was forgotten for it."""
        positions = self.position.reserve(len(room_ids))
        forgotten = [self.channels.put(*change) for change in zip(room_ids, positions, strict=True)]
        self.position.finish(positions)
        self.announcer.wake(rooms=spaces)
        return [room_id for room_id in forgotten if room_id is not None]

    def _tell_later(self, room_id: str, due_ms: int) -> None:
        self._waiting[room_id] = min(due_ms, self._waiting.get(room_id, due_ms))
        if self._telling is None or self._telling.done():
            self._telling = asyncio.create_task(self._tell_waiting(), name="tell-rosters")

    def _tell(self, room_id: str, now_ms: int) -> None:
        self._waiting.pop(room_id, None)
        self._told_ms[room_id] = now_ms
        if len(self._told_ms) > MAX_ROOMS_REMEMBERED:
            self._forget_times(now_ms)
        positions = self.position.reserve()
        self.rosters.put(room_id, positions[0])
        self.position.finish(positions)
        self.announcer.wake(rooms=[room_id])

    async def _tell_waiting(self) -> None:
        while self._waiting:
            next_ms = min(self._waiting.values())
            # No longer than the shortest interval: what is put in meanwhile may be due earlier.
            await self.clock.sleep(ms=min(SHORTEST_INTERVAL_MS, max(1, next_ms - self.clock.now_ms())))
            now_ms = self.clock.now_ms()
            for room_id in [room_id for room_id, due_ms in self._waiting.items() if due_ms <= now_ms]:
                self._tell(room_id, now_ms)

    def _forget_times(self, now_ms: int) -> None:
        """Of rooms where everything may be told at once again."""
        self._told_ms = {room_id: ms for room_id, ms in self._told_ms.items() if ms > now_ms - LONGEST_INTERVAL_MS}
        self._rested_ms = {room_id: ms for room_id, ms in self._rested_ms.items() if ms > now_ms}

    def memory_usage(self) -> dict[str, int]:
        """Counts for the memory report."""
        return {"remembered_rooms": len(self.rosters), "remembered_channels": len(self.channels)}

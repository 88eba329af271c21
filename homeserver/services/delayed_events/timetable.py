"""What waits to be sent, by the time at which it is due: in memory, so that restarting costs no statement. No I/O."""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field

from homeserver.storage.delayed_events import DelayedEventRow, ScheduledRow


@dataclass(slots=True, eq=False)
class Scheduled:
    """One event that waits. Times in ms."""

    delay_id: str
    user_id: str
    room_id: str
    type: str
    state_key: str | None
    delay_ms: int
    running_since: int
    not_before: int = 0
    """Later than it is due where the server was away, and a sign of life may have been missed."""
    busy: asyncio.Future[None] | None = None
    """Somebody sends or cancels it just now; done when that has ended."""

    @property
    def due_ms(self) -> int:
        return max(self.running_since + self.delay_ms, self.not_before)


def scheduled(row: DelayedEventRow | ScheduledRow, not_before: int = 0) -> Scheduled:
    """A stored event that waits still."""
    return Scheduled(
        row.delay_id, row.user_id, row.room_id, row.type, row.state_key, row.delay_ms, row.running_since, not_before
    )


@dataclass(slots=True)
class Timetable:
    """All scheduled events, each with at least one place in the queue unless it is busy.

    A restart moves no place: an entry that is met too early is put back to where it belongs. So that hundreds of
    clients which restart every few seconds cost a dictionary look-up each.
    """

    changed: asyncio.Event = field(default_factory=asyncio.Event)
    """Something is due earlier than everything before."""
    _entries: dict[str, Scheduled] = field(default_factory=dict)
    _of_user: dict[str, set[str]] = field(default_factory=dict)
    _queue: list[tuple[int, str]] = field(default_factory=list)
    _restarted: dict[str, Scheduled] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, delay_id: str) -> Scheduled | None:
        return self._entries.get(delay_id)

    def of_user(self, user_id: str) -> list[Scheduled]:
        return [self._entries[delay_id] for delay_id in self._of_user.get(user_id, ())]

    def count_of_user(self, user_id: str) -> int:
        return len(self._of_user.get(user_id, ()))

    def add(self, entry: Scheduled) -> None:
        """Hold it; it is queued too unless it is busy."""
        self._entries[entry.delay_id] = entry
        self._of_user.setdefault(entry.user_id, set()).add(entry.delay_id)
        if entry.busy is None:
            self._enqueue(entry)

    def adopt(self, row: DelayedEventRow) -> None:
        """Hold what is stored and was not here: the database's answer was lost when it was scheduled."""
        if row.finalised_ms is None and row.delay_id not in self._entries:
            self.add(scheduled(row))

    def remove(self, entry: Scheduled) -> None:
        """It is finalised, or never was."""
        self._restarted.pop(entry.delay_id, None)
        if self._entries.pop(entry.delay_id, None) is None:
            return
        mine = self._of_user[entry.user_id]
        mine.discard(entry.delay_id)
        if not mine:
            del self._of_user[entry.user_id]

    def restart(self, entry: Scheduled, now_ms: int) -> None:
        """It is due one delay from now."""
        earlier = now_ms + entry.delay_ms < entry.due_ms
        entry.running_since, entry.not_before = now_ms, 0
        self._restarted[entry.delay_id] = entry
        # Where the clock was set back the place in the queue may be too late.
        if earlier and entry.busy is None:
            self._enqueue(entry)

    def hold(self, entries: Iterable[Scheduled]) -> None:
        """Take them in hand: nobody else touches them meanwhile."""
        loop = asyncio.get_running_loop()
        for entry in entries:
            entry.busy = loop.create_future()

    def release(self, entries: Iterable[Scheduled]) -> None:
        """The opposite of `hold`; those that are still here are queued again."""
        for entry in entries:
            busy, entry.busy = entry.busy, None
            if busy is not None:
                busy.set_result(None)
            if self._entries.get(entry.delay_id) is entry:
                self._enqueue(entry)

    def next_due_ms(self) -> int | None:
        """When something may be due next."""
        return self._queue[0][0] if self._queue else None

    def take_due(self, now_ms: int, limit: int) -> list[Scheduled]:
        """Up to `limit` entries that are due, held."""
        taken: list[Scheduled] = []
        while self._queue and self._queue[0][0] <= now_ms and len(taken) < limit:
            _, delay_id = heapq.heappop(self._queue)
            entry = self._entries.get(delay_id)
            if entry is None or entry.busy is not None:
                continue
            if entry.due_ms > now_ms:
                heapq.heappush(self._queue, (entry.due_ms, delay_id))
                continue
            self.hold([entry])
            taken.append(entry)
        return taken

    def take_restarted(self) -> Collection[Scheduled]:
        """What was restarted since the last call."""
        restarted, self._restarted = self._restarted, {}
        return restarted.values()

    def note_restarted(self, entries: Iterable[Scheduled]) -> None:
        """They could not be stored: next time."""
        for entry in entries:
            if self._entries.get(entry.delay_id) is entry:
                self._restarted[entry.delay_id] = entry

    def _enqueue(self, entry: Scheduled) -> None:
        earliest = self.next_due_ms()
        heapq.heappush(self._queue, (entry.due_ms, entry.delay_id))
        if earliest is None or entry.due_ms < earliest:
            self.changed.set()

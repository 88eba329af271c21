"""Unread counts in memory, of one reader in one room."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from homeserver.services.awake import AwakeUser
from homeserver.services.sync.sources import Counts, UnreadCounts
from homeserver.services.unread.threads import MAIN
from homeserver.storage.receipts import UNTHREADED

NOTHING_UNREAD = UnreadCounts()
_NO_THREADS: Mapping[str, list[int]] = {}


class Tally:
    """Counts by thread. `loud`: whether the events' own NOTIFIES flag counts for this reader here."""

    __slots__ = ("_threads", "loud")

    def __init__(self, loud: bool) -> None:
        self.loud = loud
        # [notifications, highlights] by thread; nothing at all for the many rooms without anything unread.
        self._threads: dict[str, list[int]] | None = None

    @property
    def is_clear(self) -> bool:
        return not self._threads

    @property
    def notifications(self) -> int:
        """Of all threads together."""
        return sum(counts[0] for counts in self._threads.values()) if self._threads else 0

    def add(self, thread_id: str, notifications: int, highlights: int) -> None:
        """More became unread."""
        threads = self._threads
        if threads is None:
            self._threads = {thread_id: [notifications, highlights]}
        elif (counts := threads.get(thread_id)) is None:
            threads[thread_id] = [notifications, highlights]
        else:
            counts[0] += notifications
            counts[1] += highlights

    def read(self, thread_id: str) -> None:
        """Everything in the thread was read, or everything in the room (UNTHREADED)."""
        if thread_id == UNTHREADED:
            self._threads = None
        elif self._threads is not None:
            self._threads.pop(thread_id, None)

    def lower_to(self, newer: Tally, thread_id: str) -> None:
        """Only `newer` is left of the thread, or of the room: reading never makes more unread than there was."""
        remaining = newer._threads or _NO_THREADS
        for thread, counts in list((self._threads or {}).items()):
            if thread_id in (UNTHREADED, thread):
                self._lower(thread, counts, remaining.get(thread))

    def _lower(self, thread: str, counts: list[int], remaining: list[int] | None) -> None:
        assert self._threads is not None
        if remaining is None:
            del self._threads[thread]
        else:
            counts[:] = [min(counts[0], remaining[0]), min(counts[1], remaining[1])]

    def counts(self) -> UnreadCounts:
        """As sync wants them."""
        if not self._threads:
            return NOTHING_UNREAD
        by_thread = {thread: Counts(*counts) for thread, counts in self._threads.items()}
        total = Counts(
            sum(counts.notifications for counts in by_thread.values()),
            sum(counts.highlights for counts in by_thread.values()),
        )
        return UnreadCounts(by_thread.pop(MAIN, Counts()), by_thread, total)


@dataclass(slots=True)
class ReaderTallies:
    """All tallies of one awake reader. They are followed only as long as `awake` is who AwakeUsers holds."""

    awake: AwakeUser
    ignored: frozenset[str]
    rooms: dict[str, Tally] = field(default_factory=dict)

"""Stream positions: one counter per stream, and up to where it is complete.

Two writers may reserve positions 7 and 8 and commit in the other order. A reader that was handed 8 would
never look at 7 again, so ``current`` only advances over positions whose writers have all finished.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from typing import Any

from homeserver.storage.database_errors import OUTCOME_UNKNOWN
from homeserver.storage.recent import RecentChanges


class StreamPosition:
    """The positions of one stream (receipts, to_device, ...) in this process."""

    __slots__ = ("_finished", "_leaps", "_reserved", "current", "name")

    def __init__(self, name: str, current: int = 0) -> None:
        self.name = name
        self.current = current
        self._reserved = current
        self._finished: set[int] = set()
        # The last position before a leap -> the first behind it.
        self._leaps: dict[int, int] = {}

    def load(self, current: int | None) -> None:
        """Continue after the highest stored position; called once, before the first writer."""
        self.current = self._reserved = current or 0

    def reserve(self, count: int = 1) -> Sequence[int]:
        """Hand out the next ``count`` positions; each must be given to ``finish`` exactly once."""
        first = self._reserved + 1
        self._reserved += count
        return range(first, first + count)

    def leap(self, over: int) -> int:
        """Leave ``over`` positions free for ever, before the next that is handed out; returns the last before them."""
        before = self._reserved
        self._reserved += over
        start = next((start for start, target in self._leaps.items() if target == before + 1), before)
        self._leaps[start] = self._reserved + 1
        return before

    def finish(self, positions: Iterable[int]) -> None:
        """Mark positions as committed or abandoned, and advance ``current`` as far as it is complete."""
        self._finished.update(positions)
        while (following := self._leaps.get(self.current, self.current + 1)) in self._finished:
            self._leaps.pop(self.current, None)
            self.current = following
            self._finished.discard(following)

    @asynccontextmanager
    async def writing(self, count: int = 1, recent: RecentChanges[Any] | None = None) -> AsyncIterator[Sequence[int]]:
        """Reserve positions for the rows written inside the block; a failed block abandons them.

        Where they may have been written all the same, readers of `recent` are sent to the database.
        """
        positions = self.reserve(count)
        try:
            yield positions
        except OUTCOME_UNKNOWN:
            if recent is not None:
                recent.forget_up_to(positions[-1])
            raise
        finally:
            self.finish(positions)

"""The newest changes of a stream, in memory, so that a woken sync asks no SQL."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable
from typing import Generic, TypeVar

Change = TypeVar("Change")


class RecentChanges(Generic[Change]):
    """A bounded, position-ordered list of changes: at most ``capacity``, or what ``weigh`` makes of them together.

    ``since`` answers from memory while the asked position is not older than what was dropped or than the
    moment this process started; else it returns None and the caller asks the database.
    """

    __slots__ = ("_changes", "_complete_after", "_positions", "_weigh", "_weight", "capacity")

    def __init__(
        self, capacity: int = 4096, complete_after: int = 0, weigh: Callable[[Change], int] | None = None
    ) -> None:
        self.capacity = capacity
        self._weigh = weigh
        self._weight = 0
        self._complete_after = complete_after
        self._positions: list[int] = []
        self._changes: list[Change] = []

    def load(self, position: int) -> None:
        """Everything up to ``position`` was written before this process started."""
        self._complete_after = position

    def add(self, position: int, change: Change) -> None:
        """Remember a committed change. Late commits of lower positions are put in their place."""
        if not self._positions or position >= self._positions[-1]:
            self._positions.append(position)
            self._changes.append(change)
        else:
            index = bisect_right(self._positions, position)
            self._positions.insert(index, position)
            self._changes.insert(index, change)
        self._weight += self._weight_of(change)
        # Trimming by halves keeps the cost of a drop off most additions.
        while self._weight > self.capacity and len(self._positions) > 1:
            self._drop(len(self._positions) // 2)

    def _weight_of(self, change: Change) -> int:
        return 1 if self._weigh is None else self._weigh(change)

    def _drop(self, count: int) -> None:
        self._complete_after = max(self._complete_after, self._positions[count - 1])
        self._weight -= sum(map(self._weight_of, self._changes[:count]))
        del self._positions[:count]
        del self._changes[:count]

    def forget_up_to(self, position: int) -> None:
        """It is not known whether everything up to here was added: the database knows."""
        count = bisect_right(self._positions, position)
        if count:
            self._drop(count)
        self._complete_after = max(self._complete_after, position)

    def replace(self, position: int, change: Change) -> None:
        """Put another change where one with this position is held (an event that was redacted)."""
        index = bisect_right(self._positions, position) - 1
        if index >= 0 and self._positions[index] == position:
            self._weight += self._weight_of(change) - self._weight_of(self._changes[index])
            self._changes[index] = change

    def find(self, position: int, wanted: Callable[[Change], bool], *, everywhere: bool) -> int | None:
        """The position of a change: the one that is expected, or (after a look at all of them) another one."""
        index = bisect_right(self._positions, position) - 1
        if index >= 0 and self._positions[index] == position and wanted(self._changes[index]):
            return position
        if not everywhere:
            return None
        found = (place for place, change in zip(self._positions, self._changes, strict=True) if wanted(change))
        return next(found, None)

    def since(self, position: int, to: int | None = None) -> list[Change] | None:
        """Changes in ``(position, to]`` in order; None where memory does not reach back that far."""
        if position < self._complete_after:
            return None
        start = bisect_right(self._positions, position)
        if to is None:
            return self._changes[start:]
        return self._changes[start : bisect_right(self._positions, to)]

    def __len__(self) -> int:
        return len(self._positions)

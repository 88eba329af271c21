"""When Python's collector walks through all objects: hardly ever while somebody talks.

With 400 people in a room that takes 30 to 120 ms, and no packet leaves meanwhile. It is needed only for what people
who left leave behind in circles; everything else goes by its reference count, and the young are collected as always.
"""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

_NEVER: Final = 1 << 30
_LOOK_SECONDS: Final = 1.0
_QUIET: Final = 20
"""Packets sent since the last look: nobody talks to anybody."""
_WORTH_IT: Final = 2
"""Collections of the middle generation since the last full one: each stands for 7,000 objects that were made,
most of which are gone again. 400 people who join are 20 to 30."""
_TOO_MUCH: Final = 150
"""The same, where it is never quiet: some 2,000 joins."""


def begin() -> None:
    """What is here now stays: the collector need not walk through all modules again and again. Nor by itself."""
    gc.collect()
    gc.freeze()
    young, middle, _ = gc.get_threshold()
    gc.set_threshold(young, middle, _NEVER)


@dataclass(slots=True)
class Garbage:
    sent: Callable[[], int]
    """Packets, since ever."""
    _sent: int = 0

    async def watch(self) -> None:
        while True:
            await asyncio.sleep(_LOOK_SECONDS)
            self.look()

    def look(self) -> bool:
        """Collect where it disturbs nobody, or cannot wait; whether it did."""
        before, self._sent = self._sent, self.sent()
        waiting = gc.get_count()[2]
        due = waiting >= (_WORTH_IT if self._sent - before <= _QUIET else _TOO_MUCH)
        if due:
            gc.collect()
        return due

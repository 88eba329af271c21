"""Work on many people, some of them in each turn of the event loop: packets must not wait until all had theirs."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field

_log = logging.getLogger(__name__)

STEPS_A_TURN = 32
"""Half a millisecond, with the writing to WebSockets that follows from them."""


@dataclass(slots=True)
class Turns:
    """What comes first is finished first, so what is told in two steps of work arrives in their order."""

    _waiting: deque[Iterator[None]] = field(default_factory=deque)
    _busy: bool = False

    def add(self, work: Iterator[None]) -> None:
        """Each `yield` of it ends a step. The first steps are done before this returns, unless other work waits."""
        self._waiting.append(work)
        if not self._busy:
            self._busy = True
            self._turn()

    def _turn(self) -> None:
        for _ in range(STEPS_A_TURN):
            if not self._waiting:
                self._busy = False
                return
            self._step(self._waiting[0])
        asyncio.get_running_loop().call_soon(self._turn)

    def _step(self, work: Iterator[None]) -> None:
        """What fails ends alone."""
        try:
            next(work)
        except StopIteration:
            self._waiting.popleft()
        except Exception:
            _log.exception("a round of the voice worker failed")
            self._waiting.popleft()

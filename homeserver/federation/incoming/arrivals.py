"""Rooms into which one of our users is on his way: their servers count us in, and send, before we know the room."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Final

WAIT_SECONDS: Final = 20.0
"""As long as a transaction may wait for its answer; whoever takes longer to come in asks for what he missed."""
MAX_WAITING: Final = 2_000
"""Events of all servers: a resident server that takes its time does not make us collect what its friends send."""


@dataclass(slots=True)
class Arrivals:
    """`coming_into` around a handshake; `settled` is what events for a room that is not known wait for."""

    wait_seconds: float = WAIT_SECONDS
    _under_way: dict[str, asyncio.Event] = field(default_factory=dict)
    _waiting: int = 0

    @contextmanager
    def coming_into(self, room_id: str) -> Iterator[None]:
        """One at a time for each room."""
        over = self._under_way[room_id] = asyncio.Event()
        try:
            yield
        finally:
            del self._under_way[room_id]
            over.set()

    async def settled(self, room_id: str, events: int = 1) -> None:
        """Returns at once where nobody is on his way, or too many events wait; else when he is in or was refused, or after
        `wait_seconds`.
        """
        over = self._under_way.get(room_id)
        if over is None or self._waiting + events > MAX_WAITING:
            return
        self._waiting += events
        try:
            with suppress(TimeoutError):
                async with asyncio.timeout(self.wait_seconds):
                    await over.wait()
        finally:
            self._waiting -= events

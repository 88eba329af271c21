"""One at a time in each room: those who bring events of other servers. Own sends go on meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field


@dataclass(slots=True)
class _Lock:
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    users: int = 0


@dataclass(slots=True)
class RoomLocks:
    """Kept only while somebody holds or awaits them."""

    _locks: dict[str, _Lock] = field(default_factory=dict)

    def held_or_awaited(self, room_id: str) -> int:
        """How many hold or await the room's."""
        held = self._locks.get(room_id)
        return 0 if held is None else held.users

    @asynccontextmanager
    async def of(self, room_id: str) -> AsyncIterator[None]:
        """`async with locks.of(room_id):`; first come, first served."""
        held = self._locks.setdefault(room_id, _Lock())
        held.users += 1
        try:
            async with held.lock:
                yield
        finally:
            held.users -= 1
            if not held.users:
                self._locks.pop(room_id, None)

"""How many requests are under way at once: users choose their gateways, and one that never answers is to hold up nobody else."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Final
from weakref import WeakValueDictionary

MAX_OF_A_USER: Final = 4
MAX_OF_A_GATEWAY: Final = 16
MAX_IN_ALL: Final = 300


@dataclass(slots=True)
class Slots:
    """Whoever waits for his own user's or gateway's turn takes no place from others."""

    _by_name: WeakValueDictionary[tuple[str, str], asyncio.Semaphore] = field(default_factory=WeakValueDictionary)
    _all: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(MAX_IN_ALL))

    @asynccontextmanager
    async def take(self, user_id: str, gateway: str) -> AsyncIterator[None]:
        """One place, for a request for this user to this gateway."""
        async with (
            self._named("user", user_id, MAX_OF_A_USER),
            self._named("gateway", gateway, MAX_OF_A_GATEWAY),
            self._all,
        ):
            yield

    def _named(self, kind: str, name: str, maximum: int) -> asyncio.Semaphore:
        semaphore = self._by_name.get((kind, name))
        if semaphore is None:
            semaphore = self._by_name[kind, name] = asyncio.Semaphore(maximum)
        return semaphore

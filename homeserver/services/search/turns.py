"""Who may search now: a few at a time, and nobody twice at once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Final
from weakref import WeakValueDictionary

AT_ONCE: Final = 3
"""Searches; others wait, so that they do not take all connections."""


@dataclass(slots=True)
class SearchTurns:
    """First come, first served; whoever asks for much waits for himself."""

    _all: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(AT_ONCE))
    _by_user: WeakValueDictionary[str, asyncio.Lock] = field(default_factory=WeakValueDictionary)

    @asynccontextmanager
    async def of(self, user_id: str) -> AsyncIterator[None]:
        """`async with turns.of(user_id):`."""
        own = self._by_user.setdefault(user_id, asyncio.Lock())
        async with own, self._all:
            yield

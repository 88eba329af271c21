"""How many files are fetched at once: a server that sends slowly holds up those who want its files, and nobody else."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field


@dataclass(slots=True)
class _Line:
    """Those who want files of one server."""

    free: asyncio.Semaphore
    people: int = 0


@dataclass(slots=True)
class Slots:
    """`in_all` at once, `per_server` of one server. A server that nobody waits for is not remembered."""

    in_all: int
    per_server: int
    _free: asyncio.Semaphore = field(init=False)
    _lines: dict[str, _Line] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._free = asyncio.Semaphore(self.in_all)

    @property
    def people(self) -> int:
        """How many wait, or have a slot."""
        return sum(line.people for line in self._lines.values())

    def people_of(self, server_name: str) -> int:
        """The same for one server."""
        line = self._lines.get(server_name)
        return 0 if line is None else line.people

    @asynccontextmanager
    async def take(self, server_name: str) -> AsyncIterator[None]:
        """Wait for a slot, and keep it until the block ends."""
        line = self._lines.setdefault(server_name, _Line(asyncio.Semaphore(self.per_server)))
        line.people += 1
        try:
            async with line.free, self._free:
                yield
        finally:
            line.people -= 1
            if not line.people:
                del self._lines[server_name]

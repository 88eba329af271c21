"""The stream `account_data`: what the syncs of a user's devices have to hear of. Push rules share it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import orjson

from homeserver.storage.positions import StreamPosition
from homeserver.storage.recent import RecentChanges
from homeserver.storage.stream_starts import first_position

if TYPE_CHECKING:
    from homeserver.services.announcer import Announcer
    from homeserver.storage.database import Queries

# Larger events are not kept in memory; a sync that has to hear of one reads it from the database.
MAX_REMEMBERED_BYTES = 8192


@dataclass(frozen=True, slots=True)
class RecentEntry:
    """A committed change. `event`: as clients get it; None where it is too large to be remembered."""

    user_id: str
    room_id: str
    type: str
    event: bytes | None


@dataclass(slots=True)
class AccountDataWrite:
    """A change that is about to be committed at `position`; `done` tells that it was."""

    position: int
    entry: RecentEntry | None = None

    def done(self, user_id: str, room_id: str, event_type: str, content: bytes) -> None:
        """The entry was written."""
        event = render_event(event_type, content)
        remembered = event if len(event) <= MAX_REMEMBERED_BYTES else None
        self.entry = RecentEntry(user_id, room_id, event_type, remembered)


@dataclass(slots=True)
class AccountDataStream:
    """Positions and newest changes; wakes the user's syncs."""

    queries: Queries
    announcer: Announcer
    position: StreamPosition = field(default_factory=lambda: StreamPosition("account_data"))
    recent: RecentChanges[RecentEntry] = field(default_factory=RecentChanges)

    async def load(self) -> None:
        """Begin at a position that no token of an earlier start has reached; once, before the first request."""
        position = await first_position(self.queries)
        self.position.load(position)
        self.recent.load(position)

    @asynccontextmanager
    async def writing(self) -> AsyncIterator[AccountDataWrite]:
        """Reserve a position for one change. Where `done` was called in the block, it is announced afterwards."""
        async with self.writing_many(1) as (write,):
            yield write

    @asynccontextmanager
    async def writing_many(self, count: int) -> AsyncIterator[Sequence[AccountDataWrite]]:
        """The same for several changes in one statement."""
        async with self.position.writing(count, recent=self.recent) as positions:
            writes = [AccountDataWrite(position) for position in positions]
            yield writes
            done = [(write.position, write.entry) for write in writes if write.entry is not None]
            for position, entry in done:
                self.recent.add(position, entry)
        if done:
            self.announcer.wake(users={entry.user_id for _, entry in done})


def render_event(event_type: str, content: bytes) -> bytes:
    """An account data event as clients get it."""
    return b'{"type":%s,"content":%s}' % (orjson.dumps(event_type), content)

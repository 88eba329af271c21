"""What people sent counts as read: "by sending an event" a reader moves his read-up-to mark ("Marking notifications as read").

Kept in memory and written in batches, so that a message costs no further write. A crash loses the last seconds of it:
then somebody may find a few messages unread that came before one of his own.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from homeserver.storage.receipts import ReceiptRows

if TYPE_CHECKING:
    from homeserver.storage.database import Queries

FLUSH_INTERVAL_MS = 10_000
# More are written at the next flush; one statement stays short.
MAX_ROWS_PER_FLUSH = 10_000


@dataclass(slots=True)
class OwnReads:
    """Read marks by user, room and thread that are not stored yet."""

    queries: Queries
    rows: ReceiptRows
    _waiting: dict[str, dict[tuple[int, str], int]] = field(default_factory=dict)
    _writing: asyncio.Lock = field(default_factory=asyncio.Lock)

    def note(self, user_id: str, room_nid: int, thread_id: str, position: int) -> None:
        """The user has read this thread up to here."""
        self._waiting.setdefault(user_id, {})[room_nid, thread_id] = position

    async def flush_user(self, user_id: str) -> None:
        """Write what waits of one user, before his unread events are counted in the database."""
        await self.flush_users([user_id])

    async def flush_users(self, user_ids: Collection[str]) -> None:
        """The same for many; one statement."""
        while self._writing.locked() or any(user_id in self._waiting for user_id in user_ids):
            async with self._writing:
                waiting = [user_id for user_id in user_ids if user_id in self._waiting]
                if waiting:
                    await self._write(waiting)

    async def flush(self) -> None:
        """Write what waits."""
        async with self._writing:
            while self._waiting:
                await self._write(self._some_users())

    def _some_users(self) -> list[str]:
        users, rows = [], 0
        for user_id, marks in self._waiting.items():
            users.append(user_id)
            rows += len(marks)
            if rows >= MAX_ROWS_PER_FLUSH:
                break
        return users

    async def _write(self, user_ids: list[str]) -> None:
        taken = {user_id: self._waiting.pop(user_id) for user_id in user_ids}
        rows = [(user_id, *key, position) for user_id, marks in taken.items() for key, position in marks.items()]
        try:
            await self.rows.store_read(self.queries, rows)
        except BaseException:
            for user_id, marks in taken.items():
                # Later marks win over those that could not be written.
                self._waiting[user_id] = {**marks, **self._waiting.get(user_id, {})}
            raise

    def memory_usage(self) -> dict[str, int]:
        """Counts for the memory report."""
        return {"waiting": sum(map(len, self._waiting.values()))}

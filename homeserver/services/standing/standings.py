"""Who is locked or suspended, kept whole in memory: every request asks, and there are few of them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from homeserver.services.audit.audit_log import AuditLog
from homeserver.services.requester import Requester
from homeserver.storage.database_errors import OUTCOME_UNKNOWN
from homeserver.storage.standings import StandingRows

if TYPE_CHECKING:
    from homeserver.services.clock import Clock
    from homeserver.storage.database import Database

Hook = Callable[[str], Awaitable[None]]


@dataclass(slots=True)
class Standings:
    """The memory is true because everything that changes the columns goes through here."""

    database: Database
    rows: StandingRows
    audit: AuditLog
    clock: Clock
    on_restricted: list[Hook] = field(default_factory=list)
    """Called with the user id after somebody was locked or suspended."""
    on_locked: list[Hook] = field(default_factory=list)
    """Called with the user id after somebody was locked, before those."""
    _locked: set[str] = field(default_factory=set)
    _suspended: set[str] = field(default_factory=set)
    _writing: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def load(self) -> None:
        """Before the first request."""
        restricted = await self.rows.restricted(self.database)
        self._locked = {each.user_id for each in restricted if each.is_locked}
        self._suspended = {each.user_id for each in restricted if each.is_suspended}

    def is_locked(self, user_id: str) -> bool:
        """Whether nothing of him is wanted but that he logs out."""
        return user_id in self._locked

    def is_suspended(self, user_id: str) -> bool:
        """Whether he may read, and leave."""
        return user_id in self._suspended

    def is_restricted(self, user_id: str) -> bool:
        """Whether one of the two."""
        return user_id in self._locked or user_id in self._suspended

    def marked(self, requester: Requester) -> Requester:
        """The requester as he stands now."""
        if not self.is_restricted(requester.user_id):
            return requester
        # Who is locked asks for nothing himself any more; what was prepared in his name may do no more than the other.
        return replace(requester, is_locked=self.is_locked(requester.user_id), is_suspended=True)

    async def set_locked(self, by: Requester, user_id: str, locked: bool) -> None:
        """Lock or unlock; the hooks have been called when this returns."""
        async with self._writing:
            async with self._true_memory(), self.database.transaction() as tx:
                await self.rows.set_locked(tx, user_id, locked, self.clock.now_ms())
                await self.audit.record(tx, by, "user.lock" if locked else "user.unlock", user_id)
            _put(self._locked, user_id, locked)
        if locked:
            await _call([*self.on_locked, *self.on_restricted], user_id)

    async def set_suspended(self, by: Requester, user_id: str, suspended: bool) -> None:
        """Suspend, or end that; the hooks have been called when this returns."""
        async with self._writing:
            async with self._true_memory(), self.database.transaction() as tx:
                await self.rows.set_suspended(tx, user_id, suspended, self.clock.now_ms())
                await self.audit.record(tx, by, "user.suspend" if suspended else "user.unsuspend", user_id)
            _put(self._suspended, user_id, suspended)
        if suspended:
            await _call(self.on_restricted, user_id)

    @asynccontextmanager
    async def _true_memory(self) -> AsyncIterator[None]:
        """Around what is written: where nobody knows whether it took place, the database is asked."""
        try:
            yield
        except OUTCOME_UNKNOWN:
            await self.load()
            raise

    def memory_usage(self) -> dict[str, int]:
        """Counts for the memory report."""
        return {"locked": len(self._locked), "suspended": len(self._suspended)}


def _put(users: set[str], user_id: str, belongs: bool) -> None:
    if belongs:
        users.add(user_id)
    else:
        users.discard(user_id)


async def _call(hooks: list[Hook], user_id: str) -> None:
    for hook in hooks:
        await hook(user_id)

"""Whose invitations users want ("Invite permission", MSC4155), from their account data."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import orjson

from homeserver.protocol.invite_filter import ALLOW_ALL, CONFIGS, InviteFilter, Verdict, read_filter
from homeserver.storage.account_data import AccountDataRows

if TYPE_CHECKING:
    from homeserver.storage.database import Queries


@dataclass(slots=True)
class InviteFilters:
    """Bounded cache of filters: whatever changes one of them calls `forget`."""

    queries: Queries
    rows: AccountDataRows
    capacity: int = 20_000
    max_entries: int = 200_000
    """Names and patterns of all filters together; the filter asked for last is kept, however large it is."""
    notices_user: str | None = None
    """Who speaks for the server: no filter is for him."""
    _filters: OrderedDict[str, InviteFilter] = field(default_factory=OrderedDict)
    _entries: int = 0
    _forgotten: int = 0

    async def blocking(self, inviter: str, user_ids: Sequence[str]) -> set[str]:
        """Those of the users who refuse invitations of this one."""
        if inviter == self.notices_user:
            return set()
        filters = await self._of_users(user_ids)
        return {user_id for user_id in user_ids if filters[user_id].verdict(inviter) is Verdict.BLOCK}

    async def hidden(self, user_id: str, inviters: Collection[str]) -> set[str]:
        """Those of the inviters of whose invitations the user sees nothing."""
        if not inviters:
            return set()
        wanted = (await self._of_users([user_id]))[user_id]
        if wanted is ALLOW_ALL:
            return set()
        hidden = {inviter for inviter in inviters if wanted.verdict(inviter) is not Verdict.ALLOW}
        return {inviter for inviter in hidden if inviter != self.notices_user}

    async def not_seeing(self, inviter: str, user_ids: Collection[str]) -> set[str]:
        """Those of the users who see nothing of the invitations of this one."""
        if inviter == self.notices_user:
            return set()
        filters = await self._of_users(list(user_ids))
        return {user_id for user_id, each in filters.items() if each.verdict(inviter) is not Verdict.ALLOW}

    def known(self, user_id: str) -> InviteFilter | None:
        """The user's filter, where it is in memory."""
        return self._filters.get(user_id)

    async def load(self, user_ids: Sequence[str]) -> None:
        """Have the filters of these users in memory: at most one statement."""
        await self._of_users(user_ids)

    async def _of_users(self, user_ids: Sequence[str]) -> dict[str, InviteFilter]:
        """One statement for those whose filters are not in memory."""
        found = {user_id: known for user_id in user_ids if (known := self._filters.get(user_id)) is not None}
        missing = [user_id for user_id in user_ids if user_id not in found]
        if missing:
            forgotten = self._forgotten
            stored = await self.rows.types_of_users(self.queries, missing, CONFIGS)
            for user_id in missing:
                found[user_id] = _read(stored.get(user_id, {}))
                # A change that committed meanwhile is newer than what was read.
                if forgotten == self._forgotten:
                    self._keep(user_id, found[user_id])
        return found

    def _keep(self, user_id: str, read: InviteFilter) -> None:
        self._drop(user_id)
        self._filters[user_id] = read
        self._entries += read.size
        while len(self._filters) > 1 and (len(self._filters) > self.capacity or self._entries > self.max_entries):
            self._drop(next(iter(self._filters)))

    def _drop(self, user_id: str) -> None:
        known = self._filters.pop(user_id, None)
        if known is not None:
            self._entries -= known.size

    def forget(self, user_id: str) -> None:
        """His filter changed, or may have: ask the database."""
        self._forgotten += 1
        self._drop(user_id)

    def memory_usage(self) -> dict[str, int]:
        """Counts for the memory report."""
        return {"users": len(self._filters), "entries": self._entries}


def _read(stored: Mapping[str, bytes]) -> InviteFilter:
    if not stored:
        return ALLOW_ALL
    return read_filter({event_type: orjson.loads(content) for event_type, content in stored.items()})

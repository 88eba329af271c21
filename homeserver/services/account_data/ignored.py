"""Whom a user ignores, from his `m.ignored_user_list` ("Ignoring Users")."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import orjson

from homeserver.storage.account_data import EVERYWHERE, AccountDataRows

if TYPE_CHECKING:
    from homeserver.storage.database import Queries

IGNORED_USER_LIST = "m.ignored_user_list"
NOBODY: frozenset[str] = frozenset()


@dataclass(slots=True)
class IgnoredUsers:
    """Bounded cache of ignore lists; changes are followed as they commit."""

    queries: Queries
    rows: AccountDataRows
    capacity: int = 20_000
    max_entries: int = 200_000
    """Ignored users in all lists together; the list asked for last is kept, however long it is."""
    _entries: int = 0
    on_change: list[Callable[[str], None]] = field(default_factory=list)
    """Called with the user whose list changed, after the commit."""
    _lists: OrderedDict[str, frozenset[str]] = field(default_factory=OrderedDict)

    async def of_user(self, user_id: str) -> frozenset[str]:
        """Whom the user ignores; one statement where his list is not in memory."""
        known = self._lists.get(user_id)
        if known is not None:
            self._lists.move_to_end(user_id)
            return known
        stored = await self.rows.get(self.queries, user_id, EVERYWHERE, IGNORED_USER_LIST)
        # A change that committed meanwhile is newer than what was read.
        newer = self._lists.get(user_id)
        return newer if newer is not None else self._keep(user_id, stored[0] if stored is not None else b"{}")

    def known(self, user_id: str) -> frozenset[str] | None:
        """Whom the user ignores, where his list is in memory."""
        return self._lists.get(user_id)

    async def of_users(self, user_ids: Collection[str]) -> dict[str, frozenset[str]]:
        """Whom each of these users ignores; one statement for those whose lists are not in memory."""
        found = {user_id: known for user_id in user_ids if (known := self._lists.get(user_id)) is not None}
        missing = [user_id for user_id in user_ids if user_id not in found]
        if missing:
            stored = await self.rows.of_users(self.queries, missing, EVERYWHERE, IGNORED_USER_LIST)
            for user_id in missing:
                newer = self._lists.get(user_id)
                found[user_id] = newer if newer is not None else self._keep(user_id, stored.get(user_id, b"{}"))
        return found

    def _keep(self, user_id: str, content: bytes) -> frozenset[str]:
        self._entries -= len(self._lists.pop(user_id, NOBODY))
        ignored = self._lists[user_id] = ignored_in(orjson.loads(content), user_id)
        self._entries += len(ignored)
        while len(self._lists) > 1 and (len(self._lists) > self.capacity or self._entries > self.max_entries):
            self._entries -= len(self._lists.popitem(last=False)[1])
        return ignored

    def changed(self, user_id: str, content: bytes) -> None:
        """Follow a committed change of the list."""
        self._keep(user_id, content)
        for listener in self.on_change:
            listener(user_id)

    def forget(self, user_id: str) -> None:
        """It is not known whether a change was stored: ask the database."""
        self._entries -= len(self._lists.pop(user_id, NOBODY))
        for listener in self.on_change:
            listener(user_id)

    def memory_usage(self) -> dict[str, int]:
        """Counts for the memory report."""
        return {"users": len(self._lists), "ignored": self._entries}


def ignored_in(content: Any, user_id: str) -> frozenset[str]:
    """The users in a list's content, whatever a client wrote there. Nobody ignores himself."""
    users = content.get("ignored_users") if isinstance(content, dict) else None
    if not isinstance(users, dict) or not users:
        return NOBODY
    return frozenset(users) - {user_id}

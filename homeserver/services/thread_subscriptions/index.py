"""Who is subscribed to which thread, in memory: push rules ask about every event of a thread, syncs at every wake-up."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from homeserver.storage.thread_subscriptions import ThreadSubscriptionRows

if TYPE_CHECKING:
    from homeserver.storage.database import Queries

Thread = tuple[int, str]
"""Room number and root."""


@dataclass(slots=True)
class SubscriptionIndex:
    """Knows, without asking, who ever subscribed to anything; the subscribers of threads are in a bounded cache."""

    queries: Queries
    rows: ThreadSubscriptionRows
    capacity: int = 10_000
    last: dict[str, int] = field(default_factory=dict)
    """Where in the stream of account data each such user's subscriptions changed last."""
    _subscribers: OrderedDict[Thread, frozenset[str]] = field(default_factory=OrderedDict)
    _changes: int = 0

    async def load(self) -> None:
        """Once, before the first request."""
        self.last = await self.rows.last(self.queries)

    def has_changed(self, user_id: str, since: int) -> bool:
        """Whether there may be something after this position."""
        return self.last.get(user_id, 0) > since

    async def subscribers(self, room_nid: int, root_id: str) -> frozenset[str]:
        """Everybody who is subscribed; one statement where the thread is not in memory."""
        thread = (room_nid, root_id)
        known = self._subscribers.get(thread)
        if known is not None:
            self._subscribers.move_to_end(thread)
            return known
        changes = self._changes
        found = await self.rows.subscribers(self.queries, room_nid, root_id)
        if changes == self._changes:
            self._subscribers[thread] = found
            if len(self._subscribers) > self.capacity:
                self._subscribers.popitem(last=False)
        return found

    def changed(self, user_id: str, room_nid: int, root_id: str, position: int) -> None:
        """Follow a change that was committed, or perhaps was."""
        self._changes += 1
        self._subscribers.pop((room_nid, root_id), None)
        self.last[user_id] = max(position, self.last.get(user_id, 0))

    def forget(self, user_id: str) -> None:
        """Follow the end of an account."""
        self._changes += 1
        if self.last.pop(user_id, None) is not None:
            self._subscribers.clear()

    def memory_usage(self) -> dict[str, int]:
        """Counts for the memory report."""
        return {"users": len(self.last), "threads": len(self._subscribers)}

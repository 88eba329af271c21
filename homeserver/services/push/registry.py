"""All pushers in memory: whether anybody has to be pushed is asked for every event."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from homeserver.services.push.checks import EMAIL, HTTP
from homeserver.storage.pushers import Pusher, PusherRows

if TYPE_CHECKING:
    from homeserver.storage.database import Queries


@dataclass(slots=True)
class PusherRegistry:
    """Loaded once; whoever changes the table tells it after the commit."""

    queries: Queries
    rows: PusherRows
    on_gone: list[Callable[[Pusher], None]] = field(default_factory=list)
    """Called with pushers that are deleted, or replaced by another form of themselves that is not enabled."""
    on_set: list[Callable[[Pusher], None]] = field(default_factory=list)
    """Called with pushers that a client has set, anew or again."""
    _by_user: dict[str, dict[int, Pusher]] = field(default_factory=dict)
    _by_nid: dict[int, Pusher] = field(default_factory=dict)
    _pushed: set[str] = field(default_factory=set)
    _mailed: set[str] = field(default_factory=set)

    async def load(self) -> None:
        """Once, before the first request."""
        for pusher in await self.rows.all(self.queries):
            self._put(pusher)

    @property
    def pushed(self) -> AbstractSet[str]:
        """Who has a push gateway that is to be told something."""
        return self._pushed

    @property
    def mailed(self) -> AbstractSet[str]:
        """Who is told by mail what he has not read."""
        return self._mailed

    def of_user(self, user_id: str) -> list[Pusher]:
        """The user's, in the order in which they were first set."""
        return sorted(self._by_user.get(user_id, {}).values(), key=lambda pusher: pusher.pusher_nid)

    def enabled_of(self, user_id: str, kind: str) -> list[Pusher]:
        """Those of one kind that are to be told something."""
        return [each for each in self._by_user.get(user_id, {}).values() if each.enabled and each.kind == kind]

    def all(self) -> Iterable[Pusher]:
        """Everybody's."""
        return self._by_nid.values()

    def get(self, pusher_nid: int) -> Pusher | None:
        """One, as it is now."""
        return self._by_nid.get(pusher_nid)

    def put(self, pusher: Pusher) -> None:
        """Follow a committed change."""
        self._put(pusher)
        for listener in self.on_set:
            listener(pusher)

    def _put(self, pusher: Pusher) -> None:
        self._by_nid[pusher.pusher_nid] = pusher
        self._by_user.setdefault(pusher.user_id, {})[pusher.pusher_nid] = pusher
        self._place(pusher.user_id)
        if not pusher.enabled:
            self._tell_gone(pusher)

    def _place(self, user_id: str) -> None:
        for kind, users in ((HTTP, self._pushed), (EMAIL, self._mailed)):
            if self.enabled_of(user_id, kind):
                users.add(user_id)
            else:
                users.discard(user_id)

    def remove(self, pusher_nids: Collection[int]) -> None:
        """Follow a committed deletion."""
        for pusher_nid in pusher_nids:
            pusher = self._by_nid.pop(pusher_nid, None)
            if pusher is None:
                continue
            of_user = self._by_user[pusher.user_id]
            del of_user[pusher_nid]
            if not of_user:
                del self._by_user[pusher.user_id]
            self._place(pusher.user_id)
            self._tell_gone(pusher)

    def _tell_gone(self, pusher: Pusher) -> None:
        for listener in self.on_gone:
            listener(pusher)

    def memory_usage(self) -> dict[str, int]:
        """Counts for the memory report."""
        return {"pushers": len(self._by_nid), "users": len(self._by_user)}

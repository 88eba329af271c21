"""Tells pushers how much is unread where that changed without an event to push: something was read on another device."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING, Final

from homeserver.services.push.checks import HTTP
from homeserver.services.push.notification import wants_badge
from homeserver.services.push.waiting import Waiting
from homeserver.storage.receipts import UNTHREADED

if TYPE_CHECKING:
    from homeserver.services.push.delivery import PushDelivery
    from homeserver.services.push.registry import PusherRegistry
    from homeserver.services.unread.totals import UnreadTotals

INTERVAL_MS: Final = 1_000
"""Who reads ten rooms in a second has his phone told once."""
MAX_AT_ONCE: Final = 500


@dataclass(slots=True)
class Badges:
    """Listeners, and a step that is repeated."""

    registry: PusherRegistry
    totals: UnreadTotals
    delivery: PushDelivery
    _changed: dict[str, None] = field(default_factory=dict)

    def changed(self, user_id: str) -> None:
        """Perhaps another number is unread for the user."""
        if user_id in self.registry.pushed:
            self._changed[user_id] = None

    def read(self, user_id: str, room_id: str, thread_id: str, position: int) -> None:
        """The user has read up to there: what waits to be pushed of it is void. A listener of `Unread`."""
        if user_id not in self.registry.pushed:
            return
        self.changed(user_id)
        for waiting in self._waiting_of(user_id):
            waiting.drop(
                lambda told: (
                    told.room_id == room_id and told.position <= position and thread_id in (UNTHREADED, told.thread_id)
                )
            )

    def _waiting_of(self, user_id: str) -> Iterable[Waiting]:
        for pusher in self.registry.enabled_of(user_id, HTTP):
            waiting = self.delivery.waiting.get(pusher.pusher_nid)
            if waiting is not None:
                yield waiting

    async def tell(self) -> None:
        """Called every INTERVAL_MS."""
        user_ids = list(islice(self._changed, MAX_AT_ONCE))
        for user_id in user_ids:
            del self._changed[user_id]
        for user_id, unread in (await self.totals.of_users(user_ids)).items() if user_ids else ():
            self._tell(user_id, unread)

    def _tell(self, user_id: str, unread: int) -> None:
        for pusher in self.registry.enabled_of(user_id, HTTP):
            if not wants_badge(pusher):
                continue
            waiting = self.delivery.waiting.setdefault(pusher.pusher_nid, Waiting(pusher.pusher_nid))
            # Where an event is under way, the number goes with it.
            waiting.badge = unread if unread != waiting.told_badge else None
            self.delivery.start(waiting)

    def memory_usage(self) -> dict[str, int]:
        """Counts for the memory report."""
        return {"changed": len(self._changed)}

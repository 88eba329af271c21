"""Brings notifications to push gateways: for each pusher one after the other, again after a failure, for a day."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from homeserver.services.push.checks import HTTP
from homeserver.services.push.notification import badge_body, event_body
from homeserver.services.push.slots import Slots
from homeserver.services.rooms.timeline_event import REDACTED

if TYPE_CHECKING:
    from homeserver.services.clock import Clock
    from homeserver.services.push.gateways import GatewayAnswer, Gateways
    from homeserver.services.push.pushers import Pushers
    from homeserver.services.push.waiting import Entry, Waiting
    from homeserver.services.unread.totals import UnreadTotals
    from homeserver.storage.events import Events
    from homeserver.storage.pushers import Pusher

RETRY_AFTER_MS: Final = 1_000
MAX_RETRY_AFTER_MS: Final = 30 * 60_000
GIVE_UP_AFTER_MS: Final = 24 * 3600_000
"""What is older is no news any more; that it is unread, the next number says."""

log = logging.getLogger(__name__)


@dataclass(slots=True)
class PushDelivery:
    """`start` is called whenever a pusher has something new."""

    pushers: Pushers
    gateways: Gateways
    totals: UnreadTotals
    events: Events
    clock: Clock
    waiting: dict[int, Waiting] = field(default_factory=dict)
    delivered: int = 0
    _begun: bool = False
    _slots: Slots = field(default_factory=Slots)

    async def begin(self) -> None:
        """Send what is there."""
        self._begun = True
        for waiting in list(self.waiting.values()):
            self.start(waiting)

    async def stop(self) -> None:
        """What is under way is given up, and sent again after the next start."""
        self._begun = False
        tasks = [waiting.task for waiting in self.waiting.values() if waiting.task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def forget(self, pusher: Pusher) -> None:
        """It is deleted or disabled."""
        waiting = self.waiting.pop(pusher.pusher_nid, None)
        if waiting is not None:
            waiting.entries.clear()
            waiting.badge = None

    async def user_locked(self, user_id: str) -> None:
        """What waits for him is not for whoever has his phone. A hook of services/standing."""
        for pusher in self.pushers.registry.enabled_of(user_id, HTTP):
            self.forget(pusher)

    def renewed(self, pusher: Pusher) -> None:
        """Its client has just set it again: what failed may go well now."""
        waiting = self.waiting.get(pusher.pusher_nid)
        if waiting is not None and waiting.due_ms is not None:
            waiting.due_ms, waiting.failures = None, min(waiting.failures, 1)
            self.start(waiting)

    def start(self, waiting: Waiting) -> None:
        """Send what there is, unless that is being done, or it is not the time to try again."""
        if self._begun and waiting.task is None and waiting.due_ms is None and waiting.has_something:
            waiting.task = asyncio.create_task(self._drive(waiting), name=f"push-{waiting.pusher_nid}")
            waiting.task.add_done_callback(lambda _: self._driven(waiting))

    def _driven(self, waiting: Waiting) -> None:
        waiting.task = None
        self.start(waiting)  # what came between the last look and now

    async def retry_due(self) -> None:
        """Who may be tried again now. Called every second."""
        now_ms = self.clock.now_ms()
        for waiting in list(self.waiting.values()):
            if waiting.due_ms is not None and waiting.due_ms <= now_ms:
                waiting.due_ms = None
                self.start(waiting)

    async def _drive(self, waiting: Waiting) -> None:
        """Until nothing is left, or it fails."""
        while waiting.has_something:
            pusher = self.pushers.registry.get(waiting.pusher_nid)
            if pusher is None or not pusher.enabled or pusher.kind != HTTP:
                self.waiting.pop(waiting.pusher_nid, None)
                return
            try:
                await self._send_next(pusher, waiting)
            except (OSError, TimeoutError) as error:
                self._fail(pusher, waiting, f"{type(error).__name__} {error}")
                return
            except Exception as error:
                log.exception("a notification for %s could not be made", pusher.user_id)
                self._fail(pusher, waiting, type(error).__name__)
                return
            if waiting.due_ms is not None:
                return

    async def _send_next(self, pusher: Pusher, waiting: Waiting) -> None:
        url = str(pusher.data["url"])
        async with self._slots.take(pusher.user_id, urlsplit(url).netloc):
            await self._drop_void(waiting)
            if not waiting.has_something:  # it was read, or the pusher went, while we waited
                return
            entry = waiting.entries[0] if waiting.entries else None
            unread = await self._unread(pusher.user_id)
            body = badge_body(pusher, unread) if entry is None else event_body(pusher, entry, unread)
            answer = await self.gateways.notify(url, body)
        if answer.is_success:
            await self._arrived(pusher, waiting, entry, unread, answer)
        else:
            self._fail(pusher, waiting, f"it answered {answer.status}")

    async def _unread(self, user_id: str) -> int:
        """Mostly in memory: whoever put something into the queue has seen to it."""
        known = self.totals.known(user_id)
        return known if known is not None else (await self.totals.of_users([user_id]))[user_id]

    async def _arrived(
        self, pusher: Pusher, waiting: Waiting, entry: Entry | None, unread: int, answer: GatewayAnswer
    ) -> None:
        waiting.failures = 0
        waiting.told_badge = unread
        if waiting.badge == unread:
            waiting.badge = None
        if entry is None:
            waiting.badge = None
        elif waiting.entries and waiting.entries[0] is entry:
            waiting.entries.popleft()
        self.delivered += 1
        # Other keys than the one that was asked about are none of this gateway's business.
        if pusher.pushkey in answer.rejected:
            log.info("a pusher of %s (%s) is rejected by its gateway and goes", pusher.user_id, pusher.app_id)
            current = self.pushers.registry.get(pusher.pusher_nid)
            if current is not None and current.set_ms == pusher.set_ms:
                await self.pushers.remove([pusher])

    async def _drop_void(self, waiting: Waiting) -> None:
        """What is too old, and what was redacted while it waited."""
        oldest_ms = self.clock.now_ms() - GIVE_UP_AFTER_MS
        waiting.drop(lambda told: told.sent_ms < oldest_ms)
        if waiting.failures and waiting.entries:
            event_ids = [entry.told.event_id for entry in waiting.entries]
            records = await self.events.by_ids(self.pushers.queries, event_ids)
            redacted = {record["event_id"] for record in records if record["flags"] & REDACTED}
            waiting.drop(lambda told: told.event_id in redacted)

    def _fail(self, pusher: Pusher, waiting: Waiting, reason: str) -> None:
        waiting.failures += 1
        pause_ms = min(RETRY_AFTER_MS << min(waiting.failures - 1, 20), MAX_RETRY_AFTER_MS)
        waiting.due_ms = self.clock.now_ms() + pause_ms
        # The gateway's path may have a secret in its query; its host does not.
        log.info(
            "the push gateway of %s (%s) was not told (failure %d, tried again in %d s): %s",
            pusher.user_id, pusher.app_id, waiting.failures, pause_ms // 1000, reason,
        )  # fmt: skip

    def memory_usage(self) -> dict[str, int]:
        """Counts for the memory report and the metrics."""
        return {
            "pushers": len(self.waiting),
            "events": sum(len(each.entries) for each in self.waiting.values()),
            "failing": sum(each.failures > 0 for each in self.waiting.values()),
            "delivered": self.delivered,
            "dropped": sum(each.dropped for each in self.waiting.values()),
        }

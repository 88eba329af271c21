"""Brings transactions to application services: one at a time each, in order, again for ever after a failure."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from homeserver.protocol.errors import MatrixError
from homeserver.services.appservices.client import AppserviceClient, bad_status, segment
from homeserver.storage.appservices import Progress

if TYPE_CHECKING:
    from homeserver.services.appservices.appservice import Appservice
    from homeserver.services.appservices.composing import Composing
    from homeserver.services.appservices.queue import Queue
    from homeserver.services.clock import Clock
    from homeserver.storage.appservices import AppserviceRows, StoredTransaction
    from homeserver.storage.database import Queries

TIMEOUT_SECONDS: Final = 120.0
RETRY_AFTER_MS: Final = 1_000
MAX_RETRY_AFTER_MS: Final = 5 * 60_000
STORE_INTERVAL_MS: Final = 10_000
"""How often progress over events that concern nobody is written down: so much is looked through again after a kill."""

log = logging.getLogger(__name__)


@dataclass(slots=True)
class Delivery:
    """`start` is called whenever a queue has something new."""

    queues: Mapping[Appservice, Queue]
    composing: Composing
    client: AppserviceClient
    queries: Queries
    rows: AppserviceRows
    clock: Clock
    _begun: bool = False
    _stored: dict[str, Progress] = field(default_factory=dict)

    async def load(self, newest: Progress) -> None:
        """How far each is. One that is new is told what comes from here on; `newest`: where that is."""
        known = await self.rows.progress(self.queries)
        under_way = await self.rows.under_way(self.queries)
        for appservice, queue in self.queues.items():
            progress = known.get(appservice.id)
            queue.under_way = under_way.get(appservice.id)
            queue.progress = progress or Progress(newest.events, newest.lists)
            queue.behind = progress is not None
        new = {each.id: queue.progress for each, queue in self.queues.items() if each.id not in known}
        if new:
            await self.rows.put_progress(self.queries, new)

    async def begin(self) -> None:
        """Tell what is there."""
        self._begun = True
        for queue in self.queues.values():
            self.start(queue)

    async def stop(self) -> None:
        """What is under way is given up, and sent again after the next start."""
        self._begun = False
        tasks = [queue.task for queue in self.queues.values() if queue.task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self.store()

    def start(self, queue: Queue) -> None:
        """Tell what there is to be told, unless that is being done, or it is not the time to try again."""
        if self._begun and queue.task is None and queue.due_ms is None and queue.has_something:
            queue.task = asyncio.create_task(self._drive(queue), name=f"tell-{queue.appservice.id}")
            queue.task.add_done_callback(lambda _: self._driven(queue))

    def _driven(self, queue: Queue) -> None:
        queue.task = None
        self.start(queue)  # what came between the last look and now

    def seen(self, appservice: Appservice) -> None:
        """It has just spoken to us: if it was away, it is back."""
        queue = self.queues.get(appservice)
        if queue is not None and queue.due_ms is not None and queue.failures > 1:
            # One try for each failure: who speaks and does not listen is not tried all the time.
            queue.due_ms, queue.failures = None, 1
            self.start(queue)

    async def retry_due(self) -> None:
        """Who may be tried again now. Called every second."""
        now_ms = self.clock.now_ms()
        for queue in self.queues.values():
            if queue.due_ms is not None and queue.due_ms <= now_ms:
                queue.due_ms = None
                self.start(queue)

    async def _drive(self, queue: Queue) -> None:
        """Until nothing is left, or it fails."""
        try:
            while (transaction := await self.composing.next_of(queue)) is not None:
                await self._send(queue, transaction)
            if queue.arrived is not None:
                await self.rows.acknowledge(self.queries, queue.appservice.id, queue.arrived)
                queue.arrived = None
        except MatrixError as error:
            self._fail(queue, error)
        except Exception as error:
            log.exception("the application service %s could not be told", queue.appservice.id)
            self._fail(queue, error)

    async def _send(self, queue: Queue, transaction: StoredTransaction) -> None:
        """Raises MatrixError unless it was taken."""
        path = f"/transactions/{segment(transaction.txn_id)}"
        reply = await self.client.call(
            queue.appservice, "PUT", path, body=transaction.body, legacy=path, timeout_seconds=TIMEOUT_SECONDS
        )
        if not reply.is_success:
            raise bad_status(queue.appservice, reply)
        # Deleted when there is nothing more to tell: the next one takes its place.
        queue.under_way, queue.arrived, queue.failures = None, transaction.txn_id, 0
        queue.delivered += 1

    def _fail(self, queue: Queue, error: Exception) -> None:
        queue.failures += 1
        pause_ms = min(RETRY_AFTER_MS << min(queue.failures - 1, 20), MAX_RETRY_AFTER_MS)
        queue.due_ms = self.clock.now_ms() + pause_ms
        queue.forget_what_passes()
        if queue.events or queue.missed:
            queue.fall_behind()
        log.warning(
            "the application service %s was not told (failure %d, tried again in %d s): %s",
            queue.appservice.id, queue.failures, pause_ms // 1000, error,
        )  # fmt: skip

    async def store(self) -> None:
        """Write down how far those are that have been told everything. Called every STORE_INTERVAL_MS, and at the end."""
        changed: dict[str, Progress] = {}
        for appservice, queue in self.queues.items():
            if queue.is_idle and queue.task is None:
                queue.progress = Progress(self.composing.passed(), self.composing.lists_passed())
            if self._stored.get(appservice.id) != queue.progress:
                changed[appservice.id] = Progress(queue.progress.events, queue.progress.lists)
        if changed:
            await self.rows.put_progress(self.queries, changed)
            self._stored.update(changed)

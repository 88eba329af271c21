"""Brings what is wanted to other servers: one transaction at a time each, in order, again after a failure.

A server that has nothing to be told, or that cannot be reached, costs no task and no timer: who is due to be tried again
stands in one heap that is looked at once a second, and whoever speaks to us is tried at once.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
import logging
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from homeserver.federation.client import Limits, request_uri
from homeserver.federation.sending.destination import Destination, Edu
from homeserver.protocol.errors import MatrixError
from homeserver.storage.outbound import DestinationRow

if TYPE_CHECKING:
    from homeserver.federation.client import FederationClient
    from homeserver.federation.pauses import Pauses
    from homeserver.federation.sending.transactions import Outgoing, Transactions
    from homeserver.services.clock import Clock
    from homeserver.storage.database import Queries
    from homeserver.storage.outbound import OutboundRows

SEND: Final = "/_matrix/federation/v1/send"
# The other server may have to fetch what came before.
LIMITS: Final = Limits(timeout_ms=60_000, max_bytes=1024 * 1024)
AT_ONCE: Final = 100
RETRY_AFTER_MS: Final = 1_000
MAX_RETRY_AFTER_MS: Final = 10 * 60_000
"""Twice as long each time, where nothing is held against the server: it answers, and refuses."""
TO_DEVICE_KEPT_MS: Final = 30 * 24 * 60 * 60_000

log = logging.getLogger(__name__)


@dataclass(slots=True)
class Sender:
    """`want`, `say` and the like are synchronous: they note what is to be told and begin to tell it."""

    server_name: str
    queries: Queries
    rows: OutboundRows
    transactions: Transactions
    client: FederationClient
    pauses: Pauses
    clock: Clock
    _destinations: dict[str, Destination] = field(default_factory=dict)
    _changed: dict[str, DestinationRow] = field(default_factory=dict)
    _progress: int = 0
    _stored_progress: int = 0
    _due: list[tuple[int, str]] = field(default_factory=list)
    _slots: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(AT_ONCE))
    _numbers: Any = field(default_factory=itertools.count)
    _started: str = ""
    _stopped: bool = False

    # --- Life ---

    async def load(self, newest: int) -> None:
        """Go on where the last start ended. `newest`: the position of the newest event. Four statements."""
        self._started = f"{self.clock.now_ms():x}"
        progress = await self.rows.progress(self.queries)
        self._progress = self._stored_progress = newest
        for row in await self.rows.behind(self.queries):
            self._destinations[row.destination] = Destination(row, behind=row.wanted_position > row.sent_position)
        if progress is not None and progress < newest:
            concerned = await self.rows.concerned(self.queries, progress, self.server_name)
            await self._concern(concerned, progress)
        for name in await self.rows.waiting_to_device(self.queries):
            self._open(name).to_device = True
        if progress is None:
            await self.rows.put(self.queries, [], newest)

    async def _concern(self, concerned: Mapping[str, int], progress: int) -> None:
        """Events that were written when nobody could note any more whom they concern."""
        names = [name for name in concerned if name != self.server_name]
        stored = await self.rows.of(self.queries, names)
        for name in names:
            row = stored.get(name) or DestinationRow(name, progress, progress)
            destination = self._destinations.setdefault(name, Destination(row))
            destination.row.wanted_position = max(destination.row.wanted_position, concerned[name])
            destination.fall_behind()
            self._changed[name] = destination.row

    async def begin(self) -> None:
        """Listeners are open: tell what was left over."""
        for name in list(self._destinations):
            self._start(name)

    async def stop(self) -> None:
        """What is under way is given up, and told again after the next start."""
        self._stopped = True
        tasks = [each.task for each in self._destinations.values() if each.task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self.store()

    async def store(self) -> None:
        """Write down how far everybody is; one statement. Called every second."""
        changed, self._changed = self._changed, {}
        progress = self._progress
        if not changed and progress == self._stored_progress:
            return
        try:
            await self.rows.put(self.queries, list(changed.values()), progress)
        except BaseException:
            self._changed = {**changed, **self._changed}
            raise
        self._stored_progress = progress
        for name in [name for name, each in self._destinations.items() if each.task is None and not each.has_something]:
            if name not in self._changed:
                del self._destinations[name]

    async def tidy(self) -> None:
        """Housekeeping: messages that a server has not taken for a month."""
        await self.rows.prune_to_device(self.queries, self.clock.now_ms() - TO_DEVICE_KEPT_MS)

    # --- What is to be told ---

    def passed(self, position: int) -> None:
        """All events up to this one have been handed to `want`, as far as they concern anybody."""
        self._progress = max(self._progress, position)

    def want(self, destinations: Iterable[str], position: int, event_id: str) -> None:
        """An event for these servers, newer than all before."""
        for name in destinations:
            if name == self.server_name:
                continue
            destination = self._open(name, position - 1)
            destination.want(position, event_id)
            self._changed[name] = destination.row
            self._start(name)

    def say(self, destinations: Collection[str], key: tuple[str, ...], edu: Edu) -> None:
        """Something ephemeral; the newest with the same key counts. Not kept for servers that cannot be reached."""
        now_ms = self.clock.now_ms()
        for name in destinations:
            if name == self.server_name:
                continue
            if key[0] != "m.receipt" and self.pauses.retry_at_ms(name) > now_ms:
                continue
            self._open(name).say(key, edu)
            self._start(name)

    def want_devices(self, destinations: Iterable[str], first: int, last: int) -> None:
        """Changes of devices for these servers, newer than all before."""
        for name in destinations:
            if name != self.server_name:
                destination = self._open(name)
                if destination.row.wanted_devices <= destination.row.sent_devices:
                    destination.row.sent_devices = first - 1  # it has everything before
                destination.row.wanted_devices = last
                self._changed[name] = destination.row
                self._start(name)

    def want_to_device(self, destinations: Iterable[str]) -> None:
        """Messages for their devices have been stored."""
        for name in destinations:
            self._open(name).to_device = True
            self._start(name)

    def reached(self, name: str) -> None:
        """It has just spoken to us, or answered: what waits for it goes out now. A listener of Pauses."""
        self._start(name)

    def _open(self, name: str, sent_position: int | None = None) -> Destination:
        destination = self._destinations.get(name)
        if destination is None:
            # A server that is not in memory has everything: whatever is stored of it is not ahead of this.
            position = self._progress if sent_position is None else sent_position
            destination = self._destinations[name] = Destination(DestinationRow(name, position, position))
        return destination

    # --- Telling it ---

    def _start(self, name: str) -> None:
        destination = self._destinations.get(name)
        if destination is None or destination.task is not None or self._stopped or not self._started:
            return
        retry_at_ms = self.pauses.retry_at_ms(name)
        if retry_at_ms > self.clock.now_ms():
            self._try_again(destination, retry_at_ms)
        elif destination.has_something:
            destination.task = asyncio.create_task(self._drive(destination))
            destination.task.add_done_callback(lambda done: self._driven(destination, done))

    def _driven(self, destination: Destination, done: asyncio.Task[bool]) -> None:
        destination.task = None
        if not done.cancelled() and done.exception() is None and done.result():
            # What came between the last look and now.
            self._start(destination.row.destination)

    def _try_again(self, destination: Destination, at_ms: int) -> None:
        destination.fall_behind()
        destination.forget_what_passes()
        if destination.due_ms is None and destination.has_something:
            destination.due_ms = at_ms
            heapq.heappush(self._due, (at_ms, destination.row.destination))

    async def retry_due(self) -> None:
        """Who may be tried again now. Called every second."""
        now_ms = self.clock.now_ms()
        while self._due and self._due[0][0] <= now_ms:
            name = heapq.heappop(self._due)[1]
            destination = self._destinations.get(name)
            if destination is not None:
                destination.due_ms = None
                self._start(name)

    async def _drive(self, destination: Destination) -> bool:
        """Until nothing is left, or the server fails; whether it did not."""
        name = destination.row.destination
        try:
            while destination.has_something:
                async with self._slots:
                    outgoing = await self.transactions.next_of(destination)
                    if not outgoing.is_empty:
                        await self._send(name, outgoing)
                await self.transactions.arrived(destination, outgoing)
                destination.failures = 0
                self._changed[name] = destination.row
            return True
        except MatrixError as error:
            log.info("%s was not told: %s", name, error)
            return self._fail(destination)
        except Exception:
            log.exception("%s could not be told", name)
            return self._fail(destination)

    def _fail(self, destination: Destination) -> bool:
        destination.failures += 1
        pause_ms = min(RETRY_AFTER_MS << min(destination.failures - 1, 10), MAX_RETRY_AFTER_MS)
        retry_at_ms = self.pauses.retry_at_ms(destination.row.destination)
        self._try_again(destination, retry_at_ms or self.clock.now_ms() + pause_ms)
        return False

    async def _send(self, name: str, outgoing: Outgoing) -> None:
        txn_id = f"{self._started}-{next(self._numbers)}"
        body: dict[str, Any] = {
            "origin": self.server_name,
            "origin_server_ts": self.clock.now_ms(),
            "pdus": outgoing.pdus,
        }
        if outgoing.edus:
            body["edus"] = outgoing.edus
        await self.client.put(name, request_uri(SEND, txn_id), body, limits=LIMITS)

    def memory_usage(self) -> dict[str, int]:
        """Servers with something to be told, and how much of it is in memory."""
        destinations = self._destinations.values()
        return {
            "destinations": len(self._destinations),
            "events": sum(len(each.queued) for each in destinations),
            "ephemeral": sum(len(each.ephemeral) for each in destinations),
            "sending": sum(each.task is not None for each in destinations),
        }

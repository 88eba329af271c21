"""Brings what is wanted to other servers: one transaction at a time each, in order, again after a failure.

A server that has nothing to be told, or that cannot be reached, costs no task and no timer: who is due to be tried again
stands in one heap that is looked at once a second, and whoever speaks to us is tried at once.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
import logging
import secrets
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from homeserver.federation.bounded import Bounded
from homeserver.federation.client import Limits, request_uri
from homeserver.federation.errors import RemoteRefused
from homeserver.federation.sending.destination import MAX_AT_ONCE, Destination, Edu
from homeserver.protocol.errors import MatrixError
from homeserver.storage.outbound import DestinationRow, Progress

if TYPE_CHECKING:
    from homeserver.federation.client import FederationClient
    from homeserver.federation.pauses import Pauses
    from homeserver.federation.sending.transactions import Outgoing, Transactions
    from homeserver.services.clock import Clock
    from homeserver.storage.database import Queries
    from homeserver.storage.device_changes import DeviceChangeRows
    from homeserver.storage.outbound import OutboundRows

SEND: Final = "/_matrix/federation/v1/send"
# The other server may have to fetch what came before.
LIMITS: Final = Limits(timeout_ms=60_000, max_bytes=1024 * 1024)
AT_ONCE: Final = 64
"""Transactions under way to servers that took the last one, and as many to all others: who does not answer holds up only
his like."""
MAX_PROVEN: Final = 10_000
NOT_TAKEN: Final = frozenset({400, 413})
"""Statuses that say that something in the transaction is not to the other server's taste."""
RETRY_AFTER_MS: Final = 1_000
MAX_RETRY_AFTER_MS: Final = 60 * 60_000
"""Twice as long each time, where nothing is held against the server: it answers, and refuses."""
WOKEN_AGAIN_MS: Final = 5_000
"""A server that speaks and cannot be reached is tried no more often before its time."""
TO_DEVICE_KEPT_MS: Final = 30 * 24 * 60 * 60_000

log = logging.getLogger(__name__)


@dataclass(slots=True)
class Sender:
    """`want`, `say` and the like are synchronous: they note what is to be told and begin to tell it."""

    server_name: str
    queries: Queries
    rows: OutboundRows
    changes: DeviceChangeRows
    transactions: Transactions
    client: FederationClient
    pauses: Pauses
    clock: Clock
    _destinations: dict[str, Destination] = field(default_factory=dict)
    _changed: dict[str, DestinationRow] = field(default_factory=dict)
    _noted: set[str] = field(default_factory=set)
    """Who is behind, as the database has it. There it lacks all after its position, so that nothing new need be written."""
    _idle: set[str] = field(default_factory=set)
    _events: int = 0
    _devices: int = 0
    _lists: int = 0
    _stored: Progress | None = None
    _due: list[tuple[int, str]] = field(default_factory=list)
    _proven: Bounded[str, bool] = field(default_factory=lambda: Bounded(MAX_PROVEN))
    _slots: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(AT_ONCE))
    _other_slots: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(AT_ONCE))
    _numbers: Any = field(default_factory=itertools.count)
    _started: str = ""
    _stopped: bool = False

    # --- Life ---

    async def load(self, newest: Progress) -> Progress:
        """Go on where the last start ended, and say where that was. `newest`: where the streams are. Six statements."""
        self._started = f"{self.clock.now_ms():x}{secrets.token_hex(4)}"
        before = await self.rows.progress(self.queries) or newest
        # What was looked for in the stream of device lists is told by `lists_passed`.
        self._events, self._devices, self._lists = newest.events, newest.devices, before.lists
        for row in await self.rows.behind(self.queries):
            self._noted.add(row.destination)
            if row.wanted_position > row.sent_position:
                row.wanted_position = max(row.wanted_position, newest.events)
            self._destinations[row.destination] = Destination(row, behind=row.wanted_position > row.sent_position)
        if before.events < newest.events:
            concerned = await self.rows.concerned(self.queries, before.events, self.server_name)
            self._concern(concerned, before)
        if before.devices < newest.devices:
            self.want_devices_of(await self.changes.concerned(self.queries, before.devices), before.devices)
        for name in await self.rows.waiting_to_device(self.queries):
            self._open(name).to_device = True
        await self.store()
        return before

    def _concern(self, concerned: Mapping[str, int], before: Progress) -> None:
        """Events that were written when nobody could note any more whom they concern."""
        for name, position in concerned.items():
            if name == self.server_name:
                continue
            row = DestinationRow(name, before.events, before.events, before.devices, before.devices)
            destination = self._destinations.setdefault(name, Destination(row))
            if not destination.behind:
                destination.row.sent_position = before.events
            destination.row.wanted_position = max(destination.row.wanted_position, position)
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
        await self.transactions.stop()
        await self.store()

    async def store(self) -> None:
        """Write down who is behind and how far; one statement. Called every second.

        Who has been told everything by now is not mentioned: that is what having no row means.
        """
        self._forget_idle()
        progress = Progress(self._events, self._devices, self._lists)
        changed, self._changed = self._changed, {}
        rows = [row for name, row in changed.items() if row.is_behind or name in self._noted]
        if not rows and progress == self._stored:
            return
        noted = {row.destination: row.is_behind for row in rows}
        try:
            await self.rows.put(self.queries, rows, progress)
        except BaseException:
            self._changed = {**changed, **self._changed}
            raise
        self._stored = progress
        for name, is_behind in noted.items():
            (self._noted.add if is_behind else self._noted.discard)(name)

    def _forget_idle(self) -> None:
        idle, self._idle = self._idle, set()
        for name in idle:
            destination = self._destinations.get(name)
            if destination is None or destination.task is not None or destination.has_something:
                continue
            if name in self._changed and name in self._noted:
                self._idle.add(name)  # the database has to hear first that it is not behind any more
            else:
                del self._destinations[name]

    async def tidy(self) -> None:
        """Housekeeping: messages that a server has not taken for a month."""
        await self.rows.prune_to_device(self.queries, self.clock.now_ms() - TO_DEVICE_KEPT_MS)

    # --- What is to be told ---

    def passed(self, position: int) -> None:
        """All events up to this one have been handed to `want`, as far as they concern anybody."""
        self._events = max(self._events, position)

    def lists_passed(self, position: int) -> None:
        """All changes up to this one in the stream of device lists have been handed to `want_devices`."""
        self._lists = max(self._lists, position)

    def want(self, destinations: Iterable[str], position: int, event_id: str) -> None:
        """An event for these servers; nearly always newer than all before."""
        for name in destinations:
            if name == self.server_name:
                continue
            destination = self._open(name, position - 1)
            destination.want(position, event_id)
            if not (destination.behind and name in self._noted):
                self._changed[name] = destination.row
            self._start(name)

    def want_late(self, name: str, events: Sequence[tuple[int, str]]) -> None:
        """Events from before this server came into their room. Not kept over a restart."""
        self._open(name).want_late(events)
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

    def want_devices(self, newest: Mapping[str, int], first: int, last: int) -> None:
        """Changes of devices, newer than all before: `first` to `last`, and to each of these servers up to another one."""
        self._devices = max(self._devices, last)
        self.want_devices_of(newest, first - 1)

    def want_devices_of(self, newest: Mapping[str, int], before: int) -> None:
        """The same, to each server up to another change."""
        for name, last in newest.items():
            if name == self.server_name:
                continue
            row = self._open(name).row
            if row.wanted_devices <= row.sent_devices:
                row.sent_devices = before  # it has everything up to here
            row.wanted_devices = max(row.wanted_devices, last)
            self._changed[name] = row
            self._start(name)

    def want_to_device(self, destinations: Iterable[str]) -> None:
        """Messages for their devices have been stored."""
        for name in destinations:
            self._open(name).to_device = True
            self._start(name)

    def reached(self, name: str) -> None:
        """It has just spoken to us, or answered: what waits for it goes out now. A listener of Pauses."""
        destination = self._destinations.get(name)
        if destination is None or destination.task is not None or destination.due_ms is None:
            return
        now_ms = self.clock.now_ms()
        if destination.woken_ms is None or now_ms - destination.woken_ms >= WOKEN_AGAIN_MS:
            destination.woken_ms, destination.due_ms = now_ms, None
            self._start(name)

    def _open(self, name: str, sent_position: int | None = None) -> Destination:
        destination = self._destinations.get(name)
        if destination is None:
            # A server that is not in memory has everything: whatever is stored of it is not ahead of this.
            position = self._events if sent_position is None else sent_position
            destination = self._destinations[name] = Destination(DestinationRow(name, position, position))
        return destination

    # --- Telling it ---

    def _start(self, name: str) -> None:
        destination = self._destinations.get(name)
        if destination is None or destination.task is not None or self._stopped or not self._started:
            return
        if destination.due_ms is not None:
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
        if not destination.has_something:
            self._idle.add(destination.row.destination)

    def _try_again(self, destination: Destination, at_ms: int) -> None:
        destination.fall_behind()
        destination.forget_what_passes()
        if destination.has_something:
            destination.due_ms = at_ms
            heapq.heappush(self._due, (at_ms, destination.row.destination))

    async def retry_due(self) -> None:
        """Who may be tried again now. Called every second."""
        now_ms = self.clock.now_ms()
        while self._due and self._due[0][0] <= now_ms:
            at_ms, name = heapq.heappop(self._due)
            destination = self._destinations.get(name)
            if destination is not None and destination.due_ms == at_ms:
                destination.due_ms = None
                self._start(name)

    async def _drive(self, destination: Destination) -> bool:
        """Until nothing is left, or the server fails; whether it did not."""
        name = destination.row.destination
        try:
            while destination.has_something:
                async with self._slots if self._proven.get(name) else self._other_slots:
                    outgoing = await self.transactions.next_of(destination)
                    taken = outgoing.is_empty or await self._taken(destination, outgoing)
                if not taken and destination.limit > 1:
                    destination.limit //= 2
                    continue
                await self.transactions.arrived(destination, outgoing)
                self._changed[name] = destination.row
                if not taken:
                    log.warning("%s takes neither of these, they are left out: %s", name, outgoing.names)
                    return self._fail(destination)
                destination.failures, destination.woken_ms = 0, None
                destination.limit = min(MAX_AT_ONCE, destination.limit * 2)
            return True
        except MatrixError as error:
            log.info("%s was not told: %s", name, error)
            return self._fail(destination)
        except Exception:
            log.exception("%s could not be told", name)
            return self._fail(destination)

    async def _taken(self, destination: Destination, outgoing: Outgoing) -> bool:
        """False where the other server finds something wrong with the transaction. Raises as `FederationClient.call`."""
        name = destination.row.destination
        try:
            await self._send(name, outgoing)
        except RemoteRefused as error:
            # Pages of proxies have no errcode: nothing is left out because of them.
            if error.remote.status in NOT_TAKEN and error.remote.errcode != "M_UNKNOWN":
                return False
            raise
        self._proven.put(name, True)
        return True

    def _fail(self, destination: Destination) -> bool:
        name = destination.row.destination
        self._proven.pop(name)
        destination.failures += 1
        pause_ms = min(RETRY_AFTER_MS << min(destination.failures - 1, 20), MAX_RETRY_AFTER_MS)
        self._try_again(destination, max(self.pauses.retry_at_ms(name), self.clock.now_ms() + pause_ms))
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
            "events": sum(len(each.queued) + len(each.late) for each in destinations),
            "ephemeral": sum(len(each.ephemeral) for each in destinations),
            "sending": sum(each.task is not None for each in destinations),
        }

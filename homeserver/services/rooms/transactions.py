"""The same request twice gives the same event: transaction ids of sends, states and redactions.

Spec: client-server API, "Transaction identifiers": scoped by device and endpoint. A device's transactions of
the last day are read once, at its first send since the start; from then on memory answers.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING

from homeserver.protocol.errors import InvalidParam, Unavailable
from homeserver.protocol.identifiers import utf8_length
from homeserver.services.clock import Clock
from homeserver.services.requester import Requester
from homeserver.services.rooms.append import Transaction
from homeserver.storage.event_transactions import EventTransactions
from homeserver.storage.event_writes import TransactionTakenError

if TYPE_CHECKING:
    from homeserver.storage.database import Queries

KEPT_MS = 24 * 60 * 60 * 1000
MAX_DEVICES = 4096
MAX_KEYS_PER_DEVICE = 2000
# About 400 bytes each.
MAX_KEYS = 200_000
MAX_TXN_ID_BYTES = 255
DELAYED = "delayed "


def transaction_of(requester: Requester, endpoint: str, txn_id: str) -> Transaction:
    """The idempotency key of a request: scoped by device and by endpoint (spec, "Transaction identifiers")."""
    if not txn_id or utf8_length(txn_id) > MAX_TXN_ID_BYTES:
        raise InvalidParam(f"A transaction id has 1 to {MAX_TXN_ID_BYTES} bytes")
    return Transaction(requester.user_id, requester.device_id or "", f"{endpoint} {txn_id}", txn_id)


def delayed_transaction(user_id: str, delay_id: str) -> Transaction:
    """What keeps a delayed event from being sent twice. No device's own: whoever knows the delay id may send it."""
    return Transaction(user_id, "", DELAYED + delay_id, delay_id, delayed=True)


class SentTransactions:
    """Finished and running transactions by device."""

    def __init__(self, queries: Queries, transactions: EventTransactions, clock: Clock) -> None:
        self._queries = queries
        self._transactions = transactions
        self._clock = clock
        self._finished: OrderedDict[tuple[str, str], OrderedDict[str, str]] = OrderedDict()
        self._keys = 0
        self._running: dict[tuple[str, str, str], asyncio.Future[str]] = {}

    async def once(self, transaction: Transaction, send: Callable[[], Awaitable[str]]) -> str:
        """The event id of this transaction: of the finished one, of the one still running, or of ``send()``."""
        device = (transaction.user_id, transaction.device_id)
        key = (*device, transaction.key)
        running = self._running.get(key)
        if running is not None:
            return await asyncio.shield(running)
        outcome = self._running[key] = asyncio.get_running_loop().create_future()
        try:
            finished = await self._of_device(device)
            event_id = finished.get(transaction.key)
            if event_id is None:
                event_id = await self._send(transaction, send)
                self._remember(device, transaction.key, event_id)
            outcome.set_result(event_id)
            return event_id
        except BaseException as error:
            # A commit whose answer was lost may have happened: ask the database again before the next attempt.
            self._forget(device)
            if isinstance(error, Exception):
                outcome.set_exception(error)
                outcome.exception()
            else:
                outcome.cancel()
            raise
        finally:
            del self._running[key]

    async def _send(self, transaction: Transaction, send: Callable[[], Awaitable[str]]) -> str:
        try:
            return await send()
        except TransactionTakenError:
            # Another process was faster, or the transaction is older than what memory holds.
            txn = transaction
            found = await self._transactions.find(self._queries, txn.user_id, txn.device_id, txn.key)
            if found is None:
                raise Unavailable("This transaction is being carried out, try again") from None
            return found

    async def _of_device(self, device: tuple[str, str]) -> OrderedDict[str, str]:
        finished = self._finished.get(device)
        if finished is None:
            since_ms = self._clock.now_ms() - KEPT_MS
            rows = await self._transactions.of_device(
                self._queries, *device, since_ms=since_ms, limit=MAX_KEYS_PER_DEVICE
            )
            finished = self._finished.get(device)
            if finished is None:
                finished = self._finished[device] = OrderedDict(reversed(rows))
                self._keys += len(finished)
            self._bound()
        else:
            self._finished.move_to_end(device)
        return finished

    def _remember(self, device: tuple[str, str], key: str, event_id: str) -> None:
        finished = self._finished.get(device)
        if finished is None:
            return
        self._keys += key not in finished
        finished[key] = event_id
        while len(finished) > MAX_KEYS_PER_DEVICE:
            finished.popitem(last=False)
            self._keys -= 1
        self._bound()

    def _bound(self) -> None:
        while len(self._finished) > MAX_DEVICES or (self._keys > MAX_KEYS and len(self._finished) > 1):
            self._forget(next(iter(self._finished)))

    def _forget(self, device: tuple[str, str]) -> None:
        self._keys -= len(self._finished.pop(device, ()))

    async def forget_devices(self, user_id: str, device_ids: Sequence[str]) -> None:
        """The devices are gone; one that is later given the same id begins anew."""
        await self._transactions.delete_devices(self._queries, user_id, device_ids)
        for device_id in device_ids:
            self._forget((user_id, device_id))

    def memory_usage(self) -> dict[str, int]:
        """Counts for the memory report."""
        return {"devices": len(self._finished), "keys": self._keys}

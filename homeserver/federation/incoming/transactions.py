"""Transactions of other servers: bounds, repetitions, one at a time for each server, the answer.

Source: server-server API, "Transactions".
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Protocol

import orjson

from homeserver.federation.incoming.edus import EduReceivers
from homeserver.federation.incoming.room_intake import RoomIntake
from homeserver.federation.single_flight import SingleFlight
from homeserver.protocol.canonical_json import decode_lenient
from homeserver.protocol.errors import BadJson, Forbidden, InvalidParam, LimitExceeded
from homeserver.services.clock import Clock
from homeserver.storage.received_transactions import ReceivedTransactions

if TYPE_CHECKING:
    from homeserver.storage.database import Queries

MAX_PDUS: Final = 50
MAX_EDUS: Final = 100
MAX_ID_CHARACTERS: Final = 255
MAX_WAITING: Final = 3
""" "The sending server must wait and retry for a 200 OK response": there is one, but for what it has given up on."""
RETRY_AFTER_MS: Final = 5_000
MAX_QUICK_BYTES: Final = 64 * 1024
"""Larger ones are taken apart in a thread."""
KEPT_MS: Final = 24 * 60 * 60_000
"""What is repeated later is dealt with again, which changes nothing: events are known by then."""

MAX_KEPT: Final = 1_000
"""Of one server: it repeats its last one, and those of before are for whoever sends many."""


class Intake(Protocol):
    """What the endpoint asks: `Transactions`, or `NoTransactions` where federation is switched off."""

    async def receive(self, origin: str, transaction_id: str, body: bytes) -> bytes:
        """The answer as JSON."""
        ...


@dataclass(frozen=True, slots=True)
class NoTransactions:
    """Federation is switched off."""

    async def receive(self, origin: str, transaction_id: str, body: bytes) -> bytes:
        """Raises Forbidden."""
        raise Forbidden("This server does not talk to other servers")


@dataclass(slots=True)
class _Queue:
    """Transactions of one server."""

    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    users: int = 0


@dataclass(frozen=True, slots=True)
class Transactions:
    """One verb."""

    queries: Queries
    rows: ReceivedTransactions
    intake: RoomIntake
    edus: EduReceivers
    clock: Clock
    _flights: SingleFlight[bytes] = field(default_factory=SingleFlight)
    _queues: dict[str, _Queue] = field(default_factory=dict)

    async def receive(self, origin: str, transaction_id: str, body: bytes) -> bytes:
        """Deal with it, once: who repeats it meanwhile or later gets the same answer.

        Raises NotJson, BadJson, InvalidParam and Forbidden for what is no transaction of that server, LimitExceeded.
        """
        if not transaction_id or len(transaction_id) > MAX_ID_CHARACTERS:
            raise InvalidParam(f"A transaction id has at most {MAX_ID_CHARACTERS} characters")
        key = f"{origin} {transaction_id}"
        return await self._flights.run(key, lambda: self._in_turn(origin, transaction_id, body))

    async def prune(self) -> None:
        """Housekeeping."""
        await self.rows.prune(self.queries, self.clock.now_ms() - KEPT_MS, MAX_KEPT)

    async def stop(self) -> None:
        """Give up what is under way: nothing of it was acknowledged."""
        await self._flights.stop()

    def memory_usage(self) -> Mapping[str, int]:
        """Transactions under way."""
        return {"under_way": len(self._flights)}

    async def _in_turn(self, origin: str, transaction_id: str, body: bytes) -> bytes:
        queue = self._queues.setdefault(origin, _Queue())
        if queue.users > MAX_WAITING:
            raise LimitExceeded("One transaction at a time", retry_after_ms=RETRY_AFTER_MS)
        queue.users += 1
        try:
            async with queue.lock:
                found = await self.rows.find(self.queries, origin, transaction_id)
                return found if found is not None else await self._deal_with(origin, transaction_id, body)
        finally:
            queue.users -= 1
            if not queue.users:
                self._queues.pop(origin, None)

    async def _deal_with(self, origin: str, transaction_id: str, body: bytes) -> bytes:
        large = len(body) > MAX_QUICK_BYTES
        pdus, edus = await asyncio.to_thread(_read, body, origin) if large else _read(body, origin)
        texts, _ = await _both(self.intake.receive(origin, pdus), self.edus.deliver(origin, edus))
        pdu_answers = {event_id: {"error": text} if text else {} for event_id, text in texts.items()}
        answer = orjson.dumps({"pdus": pdu_answers})
        await self.rows.add(self.queries, origin, transaction_id, self.clock.now_ms(), answer)
        return answer


async def _both(one: Awaitable[dict[str, str]], other: Awaitable[None]) -> tuple[dict[str, str], None]:
    """Both to their end, so that a repetition does not meet work that is still under way; then the first failure."""
    results = await asyncio.gather(one, other, return_exceptions=True)
    for result in results:
        if isinstance(result, BaseException):
            raise result
    return results[0], None  # type: ignore[return-value]


def _read(body: bytes, origin: str) -> tuple[Sequence[Any], Sequence[Any]]:
    transaction = decode_lenient(body)
    if not isinstance(transaction, dict):
        raise BadJson("A transaction must be a JSON object")
    # `origin` is required, but what counts is who signed the request.
    if transaction.get("origin", origin) != origin:
        raise Forbidden("The transaction is of another server than the request")
    return _list(transaction, "pdus", MAX_PDUS), _list(transaction, "edus", MAX_EDUS)


def _list(transaction: dict[str, Any], name: str, limit: int) -> list[Any]:
    found = transaction.get(name, [])
    if not isinstance(found, list):
        raise BadJson(f"'{name}' must be a list")
    if len(found) > limit:
        raise InvalidParam(f"A transaction has at most {limit} {name}")
    return found

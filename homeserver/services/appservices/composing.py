"""The next transaction for an application service, written down before it is sent.

"Homeservers MUST NOT alter (e.g. add more) events they were going to send within that transaction ID on retries".
"""

from __future__ import annotations

import itertools
import secrets
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import orjson

from homeserver.services.appservices.queue import DeviceName, Edu, Queue
from homeserver.services.requester import on_behalf_of
from homeserver.services.rooms.rendering import render_event
from homeserver.services.rooms.stored import to_timeline_event
from homeserver.storage.appservices import Progress, StoredTransaction, WaitingMessage

if TYPE_CHECKING:
    from homeserver.services.appservices.interests import Interests
    from homeserver.services.clock import Clock
    from homeserver.services.rooms.timeline_event import TimelineEvent
    from homeserver.services.to_device.letterboxes import Letterboxes
    from homeserver.storage.appservices import AppserviceRows
    from homeserver.storage.database import Queries

MAX_OF_A_KIND: Final = 100
MAX_BYTES: Final = 800_000
"""Of events, and of messages to devices: many HTTP servers take a mebibyte and no more. The first goes whatever its size."""
TXN_ID_DIGITS: Final = 15
MAX_READ: Final = 500
"""Events looked at in one go, to find those that were missed."""

Counts = dict[str, dict[str, Any]]


@dataclass(slots=True)
class _Taken:
    """What goes into the transaction, and how far its receiver is then."""

    progress: Progress
    events: Sequence[TimelineEvent] = ()
    missed: bool = False
    ephemeral: list[tuple[tuple[str, ...], Edu]] = field(default_factory=list)
    lists: list[str] = field(default_factory=list)
    messages: list[WaitingMessage] = field(default_factory=list)
    devices: list[DeviceName] = field(default_factory=list)
    """Whose counts of keys are told."""

    def __bool__(self) -> bool:
        return bool(self.events or self.ephemeral or self.lists or self.messages or self.devices)


@dataclass(slots=True)
class Composing:
    """One verb. A constant number of statements for each transaction."""

    queries: Queries
    rows: AppserviceRows
    interests: Interests
    letterboxes: Letterboxes
    clock: Clock
    passed: Callable[[], int]
    """All events up to this position have been handed to the queues."""
    lists_passed: Callable[[], int]

    async def next_of(self, queue: Queue) -> StoredTransaction | None:
        """The transaction under way, else a new one; None where there is nothing to be told."""
        if queue.under_way is not None:
            return queue.under_way
        while queue.behind and not queue.missed:
            await self._read_missed(queue)
        taken = self._take(queue)
        counts, letters = dict(queue.counts), dict(queue.letters)
        try:
            await self._take_devices(queue, taken)
            if not taken:
                return None
            transaction = await self._write(queue, taken)
        except BaseException:
            queue.counts, queue.letters = {**counts, **queue.counts}, {**letters, **queue.letters}
            raise
        self._follow(queue, taken)
        queue.under_way, queue.arrived = transaction, None
        return transaction

    # -- what goes into it -----------------------------------------------------------------------------

    async def _read_missed(self, queue: Queue) -> None:
        """Events up to now that concern it. What comes from here on is kept in memory again."""
        up_to, queue.behind = self.passed(), False
        try:
            records = await self.rows.events_after(self.queries, queue.progress.events, up_to, MAX_READ)
            events = [to_timeline_event(record, record[-1]) for record in records]
            rooms = await self.interests.of_rooms(event.room_id for event in events)
        except BaseException:
            queue.fall_behind()
            raise
        if len(events) == MAX_READ:
            queue.fall_behind()
            up_to = events[-1].position
        appservice = queue.appservice
        queue.missed = deque(
            event for event in events if appservice in self.interests.of_event(event, rooms[event.room_id])
        )
        queue.missed_up_to = up_to
        if not queue.missed:
            queue.progress.events = up_to

    def _take(self, queue: Queue) -> _Taken:
        taken = _Taken(Progress(queue.progress.events, self.lists_passed()))
        taken.missed = bool(queue.missed)
        waiting = queue.missed if taken.missed else queue.events
        taken.events = _within(waiting, lambda event: len(event.body))
        if taken.missed:
            all_taken = len(taken.events) == len(waiting)
            taken.progress.events = queue.missed_up_to if all_taken else taken.events[-1].position
        elif len(taken.events) == len(waiting):
            taken.progress.events = self.passed()
        else:
            taken.progress.events = taken.events[-1].position
        taken.ephemeral = list(itertools.islice(queue.ephemeral.items(), MAX_OF_A_KIND))
        taken.lists = list(itertools.islice(queue.lists, MAX_OF_A_KIND))
        if len(taken.lists) < len(queue.lists):
            taken.progress.lists = queue.progress.lists
        return taken

    async def _take_devices(self, queue: Queue, taken: _Taken) -> None:
        """What waits for its devices. They are not marked any longer: whoever changes something from here on does it again."""
        counted, asked = _first(queue.counts), _first(queue.letters)
        queue.counts = {device: None for device in queue.counts if device not in counted}
        queue.letters = {device: None for device in queue.letters if device not in asked}
        if asked:
            waiting = await self.rows.to_device(self.queries, list(asked), MAX_OF_A_KIND)
            # They are sent under two names.
            budget = (MAX_BYTES - sum(len(event.body) for event in taken.events)) // 2
            taken.messages = _within(waiting, lambda each: len(each.message), budget)
            if len(waiting) == MAX_OF_A_KIND or len(taken.messages) < len(waiting):
                queue.letters = {**asked, **queue.letters}
        # Who gets the first message of somebody has lost a key to him.
        receivers = dict.fromkeys((each.user_id, each.device_id) for each in taken.messages)
        taken.devices = list({**counted, **receivers})

    # -- the transaction -------------------------------------------------------------------------------

    async def _write(self, queue: Queue, taken: _Taken) -> StoredTransaction:
        now_ms = self.clock.now_ms()
        # Unique also where the database was restored from a backup: who has seen an id takes it for a repetition.
        # Digits, as every homeserver so far has sent.
        txn_id = f"{now_ms}{secrets.randbelow(10**TXN_ID_DIGITS):0{TXN_ID_DIGITS}d}"
        transaction = StoredTransaction(txn_id, await self._body(queue, taken, now_ms))
        await self.rows.put_transaction(
            self.queries, queue.appservice.id, transaction, taken.progress, taken.messages
        )  # fmt: skip
        return transaction

    async def _body(self, queue: Queue, taken: _Taken, now_ms: int) -> bytes:
        appservice = queue.appservice
        reader = on_behalf_of(appservice.sender)
        events = [render_event(each, reader=reader, now_ms=now_ms, room_id=each.room_id) for each in taken.events]
        parts: dict[str, Any] = {"events": _array(events)}
        if appservice.receive_ephemeral:
            # The second name is from before it was part of the specification (v1.13); bridges still look for it.
            parts["ephemeral"] = parts["de.sorunome.msc2409.ephemeral"] = [edu for _, edu in taken.ephemeral]
        if appservice.encrypts:
            parts["to_device"] = parts["de.sorunome.msc2409.to_device"] = _array(map(_addressed, taken.messages))
            parts["org.matrix.msc3202.device_lists"] = {"changed": taken.lists, "left": []}
            counts, unused = await self._key_counts(taken.devices)
            # Both names that were in use: of the proposal's text, and of what servers have implemented.
            for name in ("device_one_time_keys_count", "device_one_time_key_counts"):
                parts[f"org.matrix.msc3202.{name}"] = counts
            parts["org.matrix.msc3202.device_unused_fallback_key_types"] = unused
        return orjson.dumps(parts)

    async def _key_counts(self, devices: Sequence[DeviceName]) -> tuple[Counts, Counts]:
        counts: Counts = {}
        unused: Counts = {}
        if devices:
            for each in await self.rows.key_counts(self.queries, devices):
                of_device = counts.setdefault(each.user_id, {}).setdefault(each.device_id, {"signed_curve25519": 0})
                fallbacks = unused.setdefault(each.user_id, {}).setdefault(each.device_id, [])
                if each.fallback:
                    fallbacks.append(each.algorithm)
                elif each.algorithm is not None:
                    of_device[each.algorithm] = each.keys
        return counts, unused

    def _follow(self, queue: Queue, taken: _Taken) -> None:
        """It is written down: what is in it need not be looked at again."""
        queue.progress = taken.progress
        # The queue may have fallen behind meanwhile, and be empty.
        waiting = queue.missed if taken.missed else queue.events
        for event in taken.events:
            if waiting and waiting[0] is event:
                waiting.popleft()
        for key, edu in taken.ephemeral:
            if queue.ephemeral.get(key) is edu:
                del queue.ephemeral[key]
        for user_id in taken.lists:
            queue.lists.pop(user_id, None)
        if taken.messages:
            self.letterboxes.drop({(each.user_id, each.device_id) for each in taken.messages})


def _first(devices: Mapping[DeviceName, None]) -> dict[DeviceName, None]:
    return dict.fromkeys(itertools.islice(devices, MAX_OF_A_KIND))


def _within(waiting: Iterable[Any], size: Callable[[Any], int], budget: int = MAX_BYTES) -> list[Any]:
    """The first of these, as many as a transaction takes."""
    found: list[Any] = []
    total = 0
    for each in itertools.islice(waiting, MAX_OF_A_KIND):
        total += size(each)
        if found and total > budget:
            break
        found.append(each)
    return found


def _array(items: Iterable[bytes]) -> orjson.Fragment:
    return orjson.Fragment(b"[" + b",".join(items) + b"]")


def _addressed(message: WaitingMessage) -> bytes:
    """ "to_user_id" and "to_device_id" say for whom it is (MSC4203)."""
    address = orjson.dumps({"to_user_id": message.user_id, "to_device_id": message.device_id})
    return message.message[:-1] + b"," + address[1:]

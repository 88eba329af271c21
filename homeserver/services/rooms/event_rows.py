"""From events to rows: everything that one commit writes, and the same events as readers will see them."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

import orjson

from homeserver.protocol.sticky import sticks_until, sticky_duration
from homeserver.services.announcer import Resolved
from homeserver.services.clock import Clock
from homeserver.services.rooms.append import Notification
from homeserver.services.rooms.live_room import Consequences
from homeserver.services.rooms.numbers import Numbers, Place, forked_row
from homeserver.services.rooms.state_entries import entries_of, whole_room
from homeserver.services.rooms.timeline_event import (
    HIGHLIGHTS,
    NOTIFIES,
    PASSED_OVER,
    RESOLVES,
    STICKY,
    UNPLACED,
    TimelineEvent,
)
from homeserver.storage.columns import array_text
from homeserver.storage.event_writes import EventWrites
from homeserver.storage.timeline_gaps import Gap

if TYPE_CHECKING:
    from homeserver.services.rooms.append import Append, NewEvent, NotificationRules, Transaction

NOBODY = Notification()
MANY_CHANGES = 500
"""More than this comes with an event: the state of a room that we come into, above all. It is made ready in a thread."""


@dataclass(frozen=True, slots=True)
class EventRows:
    """Asks the rules whom each event notifies."""

    rules: NotificationRules
    clock: Clock
    keeps_redacted: bool = True
    """Whether what redacted events said is kept for a while."""

    async def of_batch(self, batch: list[Append], places: Sequence[Place]) -> EventWrites:
        """Rows for all events of the appends, in order; fills ``append.stored`` and ``append.consequences``."""
        writes = EventWrites()
        kept_ms = self.clock.now_ms() if self.keeps_redacted else None
        numbers = Numbers()
        tips: dict[int, tuple[int, int, int, int, str]] = {}
        place = iter(places)
        for append in batch:
            room = append.room
            built_on = tips[room.room_nid][1] if room.room_nid in tips else append.built_on
            extremities = orjson.dumps(append.extremities).decode()
            tips[room.room_nid] = (room.room_nid, built_on, append.new_version, append.depth, extremities)
            append.stored, append.consequences = [], {}
            for new in append.events:
                append.stored.append(await self._event(writes, append, new, next(place), numbers))
            for rewritten in append.rewritten:
                event = rewritten.event
                writes.rewritten.rows.append(
                    (
                        room.room_nid,
                        event.event_id,
                        event.body,
                        rewritten.envelope,
                        event.unsigned,
                        event.flags,
                        kept_ms,
                    )
                )
        writes.tips.rows = list(tips.values())
        return writes

    async def _event(
        self, writes: EventWrites, append: Append, new: NewEvent, place: Place, numbers: Numbers
    ) -> TimelineEvent:
        room, foreign = append.room, new.foreign
        writes.has_foreign |= foreign is not None
        if foreign is not None and foreign.stored_nid is not None:
            place = replace(place, event_nid=foreign.stored_nid)
            writes.placed.rows.append((foreign.stored_nid,))
        is_placed = foreign is None or not foreign.flags & UNPLACED
        notification = await self.rules.evaluate(room, new.event) if is_placed else NOBODY
        stored = _stored(append, new, place, notification)
        numbers.add(new.event.event_id, stored)
        _event_row(writes, room.room_nid, new, stored, numbers.of_auth_events(room, new), is_placed=is_placed)
        if is_placed:
            self._beside(writes, new, stored, notification)
        if foreign is not None and len(foreign.changes) > MANY_CHANGES:
            await asyncio.to_thread(_foreign_rows, writes, append, new, place, stored, numbers)
        elif foreign is not None:
            _foreign_rows(writes, append, new, place, stored, numbers)
        elif stored.state_key is not None:
            _entry_row(writes, room.room_nid, (stored.type, stored.state_key), place.position, stored)
        return stored

    def _beside(self, writes: EventWrites, new: NewEvent, stored: TimelineEvent, notification: Notification) -> None:
        """What only events of the timeline have."""
        nid = stored.event_nid
        if stored.flags & STICKY:
            duration_ms = sticky_duration(new.event.pdu)
            assert duration_ms is not None
            until = sticks_until(duration_ms, new.event.origin_server_ts, self.clock.now_ms())
            writes.sticky.rows.append((nid, until))
        if new.relation is not None:
            writes.relations.rows.append((nid, *new.relation))
        if new.transaction is not None:
            txn = new.transaction
            writes.transactions.rows.append((nid, txn.user_id, txn.device_id, txn.key, self.clock.now_ms()))
        for user_id, thread_id, notify, highlight in notification.exceptions:
            writes.push_actions.rows.append((nid, user_id, thread_id, notify, highlight))


def _stored(append: Append, new: NewEvent, place: Place, notification: Notification) -> TimelineEvent:
    event, room = new.event, append.room
    return TimelineEvent(
        event_nid=place.event_nid,
        position=place.position,
        room_nid=room.room_nid,
        room_id=room.room_id,
        event_id=event.event_id,
        type=event.type,
        state_key=event.state_key,
        sender=event.sender,
        origin_server_ts=event.origin_server_ts,
        depth=event.depth,
        flags=_flags(new, notification),
        body=new.body,
        unsigned=new.unsigned,
        content=event.content,
        txn=None if new.transaction is None else _shown(new.transaction),
        exceptions=notification.exceptions,
    )


def _flags(new: NewEvent, notification: Notification) -> int:
    flags = 0
    if new.foreign is not None:
        flags = new.foreign.flags
        if flags & UNPLACED:
            return flags
        if new.event.state_key is not None and new.foreign.self_key is None:
            flags |= PASSED_OVER
        if new.foreign.changes or new.foreign.missing:
            flags |= RESOLVES
    if notification.default_notifies:
        flags |= NOTIFIES
    if notification.default_highlights:
        flags |= HIGHLIGHTS
    return flags if sticky_duration(new.event.pdu) is None else flags | STICKY


def _event_row(
    writes: EventWrites, room_nid: int, new: NewEvent, stored: TimelineEvent, auth_nids: Sequence[int] | None,
    *, is_placed: bool,
) -> None:  # fmt: skip
    writes.events.rows.append(
        (stored.event_nid, room_nid, stored.position if is_placed else None, stored.depth, stored.origin_server_ts,
         stored.flags, stored.event_id, stored.type, stored.state_key, stored.sender, new.body, new.envelope, new.unsigned,
         None if auth_nids is None else array_text(auth_nids))
    )  # fmt: skip


def _foreign_rows(
    writes: EventWrites, append: Append, new: NewEvent, place: Place, stored: TimelineEvent, numbers: Numbers
) -> None:
    foreign, room = new.foreign, append.room
    assert foreign is not None
    if foreign.forked is not None:
        row = forked_row(foreign.forked, stored.event_nid, place.position, partial(numbers.of, room))
        writes.forked.rows.append(row)
    entries = entries_of(foreign, stored, place, lambda event_id: numbers.event(room, event_id))
    for entry in entries:
        if entry.event is not None:
            # Later events of the batch may cite what this one has brought back.
            numbers.add(entry.event.event_id, entry.event)
        _entry_row(writes, room.room_nid, *entry)
    gap = None
    if place.low is not None:
        gap = Gap(place.low, place.position, tuple(foreign.missing))
        writes.gaps.rows.append((room.room_nid, gap.low, gap.high, orjson.dumps(gap.missing).decode()))
    resolved = Resolved.of(room.room_id, stored, entries)
    whole = whole_room(room, entries) if len(entries) > MANY_CHANGES else None
    append.consequences[place.position] = Consequences(entries, gap, resolved, whole)


def _entry_row(
    writes: EventWrites, room_nid: int, key: tuple[str, str], position: int, event: TimelineEvent | None
) -> None:
    if event is None:
        writes.has_gone = True
        writes.entries.rows.append((room_nid, *key, position, None, None, None))
        return
    membership = event.membership
    writes.has_members |= membership is not None
    writes.entries.rows.append((room_nid, *key, position, event.event_nid, membership, event.sender))


def _shown(transaction: Transaction) -> tuple[str, str | None, str]:
    device_id = None if transaction.delayed else transaction.device_id
    return transaction.user_id, device_id, transaction.transaction_id

"""From events to rows: everything that one commit writes, and the same events as readers will see them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from homeserver.protocol.sticky import sticks_until, sticky_duration
from homeserver.services.clock import Clock
from homeserver.services.rooms.live_room import LiveRoom
from homeserver.services.rooms.timeline_event import HIGHLIGHTS, NOTIFIES, STICKY, TimelineEvent
from homeserver.storage.event_writes import EventWrites

if TYPE_CHECKING:
    from homeserver.services.rooms.append import Append, NewEvent, NotificationRules, Transaction


@dataclass(frozen=True, slots=True)
class EventRows:
    """Asks the rules whom each event notifies."""

    rules: NotificationRules
    clock: Clock

    async def of_batch(self, batch: list[Append], positions: Sequence[int]) -> EventWrites:
        """Rows for all events of the appends, numbered in order; fills ``append.stored``."""
        writes = EventWrites()
        tips: dict[int, tuple[int, int, int, int, str]] = {}
        number = iter(positions)
        for append in batch:
            room = append.room
            built_on = tips[room.room_nid][1] if room.room_nid in tips else append.built_on
            tips[room.room_nid] = (
                room.room_nid, built_on, append.new_version, append.depth, " ".join(append.extremities)
            )  # fmt: skip
            append.stored = []
            for new in append.events:
                append.stored.append(await self._row(writes, room, new, next(number)))
            for rewritten in append.rewritten:
                event = rewritten.event
                writes.rewritten.rows.append(
                    (room.room_nid, event.event_id, event.body, rewritten.envelope, event.unsigned, event.flags)
                )
        writes.tips.rows = list(tips.values())
        return writes

    async def _row(self, writes: EventWrites, room: LiveRoom, new: NewEvent, nid: int) -> TimelineEvent:
        event = new.event
        notification = await self.rules.evaluate(room, event)
        flags = (NOTIFIES if notification.default_notifies else 0) | (
            HIGHLIGHTS if notification.default_highlights else 0
        )
        duration_ms = sticky_duration(event.pdu)
        if duration_ms is not None:
            flags |= STICKY
            until = sticks_until(duration_ms, event.origin_server_ts, self.clock.now_ms())
            writes.sticky.rows.append((nid, until))
        writes.events.rows.append(
            (nid, room.room_nid, event.depth, event.origin_server_ts, flags, event.event_id, event.type,
             event.state_key, event.sender, new.body, new.envelope, new.unsigned)
        )  # fmt: skip
        if event.state_key is not None:
            writes.has_state = True
            if event.type == "m.room.member":
                writes.members.rows.append((nid, event.membership))
        if new.relation is not None:
            writes.relations.rows.append((nid, *new.relation))
        if new.transaction is not None:
            txn = new.transaction
            writes.transactions.rows.append((nid, txn.user_id, txn.device_id, txn.key, self.clock.now_ms()))
        for user_id, thread_id, notify, highlight in notification.exceptions:
            writes.push_actions.rows.append((nid, user_id, thread_id, notify, highlight))
        return TimelineEvent(
            event_nid=nid,
            position=nid,
            room_nid=room.room_nid,
            room_id=room.room_id,
            event_id=event.event_id,
            type=event.type,
            state_key=event.state_key,
            sender=event.sender,
            origin_server_ts=event.origin_server_ts,
            depth=event.depth,
            flags=flags,
            body=new.body,
            unsigned=new.unsigned,
            content=event.content,
            txn=None if new.transaction is None else _shown(new.transaction),
            exceptions=notification.exceptions,
        )


def _shown(transaction: Transaction) -> tuple[str, str | None, str]:
    device_id = None if transaction.delayed else transaction.device_id
    return transaction.user_id, device_id, transaction.transaction_id

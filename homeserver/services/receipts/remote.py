"""Receipts that other servers send for their users: stored and shown like those of our own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from homeserver.services.receipts.receipt import READ, Receipt

if TYPE_CHECKING:
    from homeserver.services.receipts.receipts import Receipts


@dataclass(frozen=True, slots=True)
class HeardReceipt:
    """A public receipt. `thread_id` empty: of the whole room; `ts` in milliseconds."""

    room_id: str
    user_id: str
    thread_id: str
    event_id: str
    ts: int


@dataclass(frozen=True, slots=True)
class RemoteReceipts:
    """One verb, on the stream of our own receipts."""

    receipts: Receipts

    async def hear(self, heard: Sequence[HeardReceipt]) -> None:
        """Store them, at most one of each room, user and thread, in one statement.

        Of users who are not in the room, at events that are not in its timeline, or behind an earlier receipt: nothing
        changes.
        """
        if not heard:
            return
        ours = self.receipts
        async with ours.stream.writing(len(heard), ours.recent) as positions:
            stored = await ours.rows.store_heard(
                ours.queries,
                [
                    (each.room_id, each.user_id, each.thread_id, each.event_id, each.ts, position)
                    for each, position in zip(heard, positions, strict=True)
                ],
            )
            moved = [each for each, position in zip(heard, positions, strict=True) if position in stored]
            for each, position in zip(heard, positions, strict=True):
                if position in stored:
                    receipt = Receipt(each.room_id, each.user_id, READ, each.thread_id, each.event_id, each.ts)
                    ours.recent.add(position, receipt)
                    ours.tell_of(receipt)
        ours.announcer.wake(rooms={each.room_id for each in moved})

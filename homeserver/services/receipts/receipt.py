"""A receipt as a value, and many of them as the content of `m.receipt`."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from homeserver.storage.receipts import UNTHREADED

READ = "m.read"
READ_PRIVATE = "m.read.private"


@dataclass(frozen=True, slots=True)
class Receipt:
    """Who has read up to which event, and when (`ts`, in milliseconds)."""

    room_id: str
    user_id: str
    receipt_type: str
    thread_id: str
    event_id: str
    ts: int

    def is_visible_to(self, user_id: str) -> bool:
        """ "Servers MUST NOT send the m.read.private receipt to any other user than the one which originally sent it." """
        return self.receipt_type == READ or self.user_id == user_id

    def content(self) -> dict[str, Any]:
        """What stands under the user's id."""
        return {"ts": self.ts} if self.thread_id == UNTHREADED else {"ts": self.ts, "thread_id": self.thread_id}


def contents(receipts: Iterable[Receipt]) -> dict[str, dict[str, Any]]:
    """Contents of `m.receipt` by room id; later receipts replace earlier ones of the same thread.

    The format has room for one receipt of a user and type at an event: the unthreaded one says more, and stays.
    """
    newest: dict[tuple[str, str, str, str], Receipt] = {}
    for receipt in receipts:
        newest[receipt.room_id, receipt.user_id, receipt.receipt_type, receipt.thread_id] = receipt
    rooms: dict[str, dict[str, Any]] = {}
    for receipt in newest.values():
        users = (
            rooms.setdefault(receipt.room_id, {}).setdefault(receipt.event_id, {}).setdefault(receipt.receipt_type, {})
        )
        if receipt.thread_id == UNTHREADED or receipt.user_id not in users:
            users[receipt.user_id] = receipt.content()
    return rooms

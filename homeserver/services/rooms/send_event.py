"""PUT /send/{eventType}/{txnId}: a message event."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from homeserver.protocol.builder import EventDraft
from homeserver.protocol.errors import BadJson, Forbidden, InvalidParam, NotFound
from homeserver.services.requester import Requester
from homeserver.services.rooms.appender import Appender, Plan
from homeserver.services.rooms.event_writer import Transaction
from homeserver.services.rooms.transactions import SentTransactions

MAX_TXN_ID_CHARACTERS = 255


@dataclass(frozen=True, slots=True)
class SendEvent:
    """One verb."""

    appender: Appender
    transactions: SentTransactions

    async def __call__(
        self, requester: Requester, room_id: str, event_type: str, content: dict[str, Any], txn_id: str
    ) -> str:
        """Send; the same transaction again gives the same event id. Raises Forbidden, BadJson, TooLarge."""
        if event_type == "m.room.create":
            raise BadJson("m.room.create cannot be sent")
        transaction = transaction_of(requester, f"send {room_id} {event_type}", txn_id)
        draft = EventDraft(event_type, requester.user_id, content)

        async def send() -> str:
            try:
                events = await self.appender.commit(room_id, lambda room: Plan([draft], transaction))
            except NotFound:
                raise not_in_room(room_id) from None
            return events[-1].event_id

        return await self.transactions.once(transaction, send)


def transaction_of(requester: Requester, endpoint: str, txn_id: str) -> Transaction:
    """The idempotency key of a request: scoped by device and by endpoint (spec, "Transaction identifiers")."""
    if not txn_id or len(txn_id) > MAX_TXN_ID_CHARACTERS:
        raise InvalidParam(f"A transaction id has 1 to {MAX_TXN_ID_CHARACTERS} characters")
    return Transaction(requester.user_id, requester.device_id or "", f"{endpoint} {txn_id}", txn_id)


def not_in_room(room_id: str) -> Forbidden:
    """The same answer for rooms that one is not in and for rooms that do not exist."""
    return Forbidden(f"You are not in the room {room_id}")

"""PUT /send/{eventType}/{txnId}: a message event."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from homeserver.protocol.builder import EventDraft
from homeserver.protocol.errors import BadJson, NotFound, UserSuspended
from homeserver.services.requester import Requester
from homeserver.services.rooms.append import Transaction
from homeserver.services.rooms.appender import Appender, Plan
from homeserver.services.rooms.event_checks.attachments import check_attachment
from homeserver.services.rooms.event_checks.relations import CheckRelation
from homeserver.services.rooms.event_checks.tombstone import TOMBSTONE, check_tombstone
from homeserver.services.rooms.live_room import LiveRoom
from homeserver.services.rooms.redact_event import RedactEvent
from homeserver.services.rooms.refusals import not_in_room
from homeserver.services.rooms.transactions import SentTransactions, transaction_of


@dataclass(frozen=True, slots=True)
class SendEvent:
    """One verb."""

    appender: Appender
    transactions: SentTransactions
    check_relation: CheckRelation
    redact: RedactEvent

    async def __call__(
        self,
        requester: Requester,
        room_id: str,
        event_type: str,
        content: dict[str, Any],
        txn_id: str,
        sticky_ms: int | None = None,
        sent_ms: int | None = None,
    ) -> str:
        """Send; the same transaction again gives the same event id. `sticky_ms`: as `EventDraft` has it; `sent_ms`: the
        time that the event bears, where that is not now.

        Raises Forbidden, BadJson, TooLarge, DuplicateAnnotation, InvalidParam, Unknown (a relation that cannot be),
        UserSuspended.
        """
        transaction = transaction_of(requester, f"send {room_id} {event_type}", txn_id)
        return await self.as_transaction(requester, room_id, event_type, content, transaction, sticky_ms, sent_ms)

    async def as_transaction(
        self,
        requester: Requester,
        room_id: str,
        event_type: str,
        content: dict[str, Any],
        transaction: Transaction,
        sticky_ms: int | None = None,
        sent_ms: int | None = None,
    ) -> str:
        """The same for a transaction that is known already. Raises what `__call__` raises."""
        if event_type == "m.room.create":
            raise BadJson("m.room.create cannot be sent")
        if event_type == TOMBSTONE:
            check_tombstone(content, room_id)
        if event_type == "m.room.redaction":
            return await self.redact.sent_as_event(requester, room_id, content, transaction, sticky_ms)
        if requester.is_suspended:
            raise UserSuspended
        draft = EventDraft(event_type, requester.user_id, content, origin_server_ts=sent_ms, sticky_ms=sticky_ms)

        def plan(room: LiveRoom) -> Plan:
            check_attachment(room, draft)
            return Plan([draft], transaction)

        async def send() -> str:
            try:
                await self.check_relation(room_id, draft)
                events = await self.appender.commit(room_id, plan)
            except NotFound:
                raise not_in_room(room_id) from None
            return events[-1].event_id

        return await self.transactions.once(transaction, send)

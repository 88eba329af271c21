"""Administrators tell a user of this server something."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from homeserver.protocol.builder import EventDraft
from homeserver.protocol.canonical_json import encode_canonical
from homeserver.protocol.errors import InvalidParam, NotFound, TooLarge, Unknown
from homeserver.protocol.identifiers import is_user_id, utf8_length
from homeserver.services.requester import Requester, on_behalf_of
from homeserver.services.rooms.append import Transaction
from homeserver.services.rooms.appender import Appender, Plan
from homeserver.services.server_notices.notice_rooms import NoticeRooms

if TYPE_CHECKING:
    from homeserver.services.audit.audit_log import AuditLog
    from homeserver.services.rooms.set_state import SetState
    from homeserver.services.rooms.transactions import SentTransactions
    from homeserver.storage.database import Queries
    from homeserver.storage.users import Users

MAX_TXN_ID_BYTES = 255
MAX_CONTENT_BYTES = 60_000
"""An event has 65,536 with all that is around its content."""
# What would undo that the room is the server's.
NEVER_SENT = frozenset(
    {
        "m.room.create",
        "m.room.member",
        "m.room.power_levels",
        "m.room.encryption",
        "m.room.redaction",
        "m.room.tombstone",
    }
)


@dataclass(frozen=True, slots=True)
class Notice:
    """What is said, as an event: `state_key` None is none of state."""

    user_id: str
    content: dict[str, Any]
    type: str = "m.room.message"
    state_key: str | None = None


@dataclass(frozen=True, slots=True)
class SendNotice:
    """One verb. `rooms` None: there are no notices here."""

    queries: Queries
    users: Users
    rooms: NoticeRooms | None
    appender: Appender
    set_state: SetState
    transactions: SentTransactions
    audit: AuditLog
    server_name: str

    async def __call__(self, requester: Requester, notice: Notice, txn_id: str) -> str:
        """The id of the event; the same transaction again gives the same one.

        Raises Unknown where notices are switched off, InvalidParam, NotFound, BadJson, TooLarge.
        """
        if self.rooms is None:
            raise Unknown("Server notices are not enabled on this server")
        await self._check(notice, txn_id)
        rooms = self.rooms
        key = f"notice {requester.user_id} {requester.device_id or ''} {txn_id}"
        transaction = Transaction(rooms.speaker, "", key, txn_id)

        async def say() -> str:
            room_id = await rooms.of_user(notice.user_id)
            event_id = await self._say(on_behalf_of(rooms.speaker), room_id, notice, transaction)
            details = {"room_id": room_id, "event_id": event_id}
            await self.audit.record(self.queries, requester, "notice.send", notice.user_id, details)
            return event_id

        return await self.transactions.once(transaction, say)

    async def _say(self, speaker: Requester, room_id: str, notice: Notice, transaction: Transaction) -> str:
        if notice.state_key is not None:
            return await self.set_state(
                speaker, room_id, notice.type, notice.state_key, notice.content, transaction=transaction
            )
        draft = EventDraft(notice.type, speaker.user_id, notice.content)
        events = await self.appender.commit(room_id, lambda room: Plan([draft], transaction))
        return events[-1].event_id

    async def _check(self, notice: Notice, txn_id: str) -> None:
        if not txn_id or utf8_length(txn_id) > MAX_TXN_ID_BYTES:
            raise InvalidParam(f"A transaction id has 1 to {MAX_TXN_ID_BYTES} bytes")
        if not is_user_id(notice.user_id) or notice.user_id.partition(":")[2] != self.server_name:
            raise InvalidParam("Notices are for users of this server only")
        if notice.type in NEVER_SENT:
            raise InvalidParam(f"{notice.type} is no notice")
        # Before there is a room: nobody is invited to hear nothing.
        if len(encode_canonical(notice.content)) > MAX_CONTENT_BYTES:
            raise TooLarge(f"The content of a notice has {MAX_CONTENT_BYTES} bytes at most")
        assert self.rooms is not None
        user = await self.users.get(self.queries, notice.user_id)
        if user is None or user.is_deactivated or notice.user_id == self.rooms.speaker:
            raise NotFound("There is no such user to tell something")

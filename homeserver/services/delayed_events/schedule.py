"""Schedules an event to be sent later (MSC4140, "Scheduling a delayed event")."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NoReturn

from homeserver.protocol.canonical_json import encode_canonical
from homeserver.protocol.errors import LimitExceeded, MatrixError, TooLarge, UserSuspended
from homeserver.protocol.event_format import MAX_EVENT_BYTES, MAX_FIELD_LENGTH
from homeserver.protocol.identifiers import utf8_length
from homeserver.services.clock import Clock
from homeserver.services.delayed_events.timetable import Timetable, scheduled
from homeserver.services.requester import Requester
from homeserver.services.rooms.refusals import not_in_room
from homeserver.services.rooms.transactions import transaction_of
from homeserver.storage.delayed_events import DelayedEventRow, DelayedEventRows

if TYPE_CHECKING:
    from homeserver.storage.database import Queries

MAX_OF_USER: Final = 100
# About 500 bytes of memory each.
MAX_SCHEDULED: Final = 100_000
FULL_RETRY_MS: Final = 60_000
# 192 bits, which nobody guesses.
DELAY_ID_BYTES: Final = 24


class MaxDelayExceeded(MatrixError):  # noqa: N818  (as the protocol calls it)
    """With the names that it has while MSC4140 is unstable: the second key is that of its earlier texts."""

    def __init__(self, max_delay_ms: int) -> None:
        data = {
            "org.matrix.msc4140.max_delay": max_delay_ms,
            "org.matrix.msc4140.errcode": "M_MAX_DELAY_EXCEEDED",
        }
        message = "The requested delay exceeds the allowed maximum."
        super().__init__("ORG.MATRIX.MSC4140_MAX_DELAY_EXCEEDED", 400, message, data)


@dataclass(frozen=True, slots=True)
class DelayedDraft:
    """What is to be sent, `delay_ms` from now. `state_key` None: no state event."""

    room_id: str
    type: str
    state_key: str | None
    content: dict[str, Any]
    delay_ms: int
    sticky_ms: int | None = None


@dataclass(frozen=True, slots=True)
class ScheduleEvent:
    """One verb."""

    queries: Queries
    rows: DelayedEventRows
    timetable: Timetable
    clock: Clock
    max_delay_ms: int

    async def __call__(
        self, requester: Requester, draft: DelayedDraft, endpoint: str, txn_id: str | None = None
    ) -> str:  # fmt: skip
        """The delay id; the same for the same transaction of the same endpoint.

        Whether the user may send it is seen when it is sent. Raises MaxDelayExceeded, TooLarge, BadJson, LimitExceeded,
        InvalidParam (the transaction id), UserSuspended.
        """
        if requester.is_suspended:
            raise UserSuspended
        row = self._row(requester, draft)
        txn_key = None
        if txn_id is not None:
            txn_key = transaction_of(requester, f"{endpoint} {draft.room_id} {draft.type}", txn_id).key
        if not self._is_full(requester.user_id) and await self._add(row, txn_key):
            return row.delay_id
        return await self._again(row, txn_key) or self._refuse(requester.user_id)

    def _row(self, requester: Requester, draft: DelayedDraft) -> DelayedEventRow:
        return DelayedEventRow(
            delay_id=secrets.token_urlsafe(DELAY_ID_BYTES),
            user_id=requester.user_id,
            device_id=requester.device_id or "",
            is_guest=requester.is_guest,
            room_id=draft.room_id,
            type=draft.type,
            state_key=draft.state_key,
            content=self._checked(draft),
            sticky_ms=draft.sticky_ms,
            delay_ms=draft.delay_ms,
            running_since=self.clock.now_ms(),
        )

    def _is_full(self, user_id: str) -> bool:
        return self.timetable.count_of_user(user_id) >= MAX_OF_USER or len(self.timetable) >= MAX_SCHEDULED

    async def _add(self, row: DelayedEventRow, txn_key: str | None) -> bool:
        """Held while it is stored, so that it counts for the limit and is not sent before it is there."""
        entry = scheduled(row)
        self.timetable.hold([entry])
        self.timetable.add(entry)
        added = False
        try:
            added = await self.rows.add(self.queries, row, txn_key)
        finally:
            if not added:
                self.timetable.remove(entry)
            self.timetable.release([entry])
        return added

    async def _again(self, row: DelayedEventRow, txn_key: str | None) -> str | None:
        """What this transaction has scheduled before."""
        if txn_key is None:
            return None
        found = await self.rows.of_transaction(self.queries, row.user_id, row.device_id, txn_key)
        if found is None:
            return None
        self.timetable.adopt(found)
        return found.delay_id

    def _refuse(self, user_id: str) -> NoReturn:
        """ "until the scheduled send time of the next of the user's delayed events"."""
        now_ms = self.clock.now_ms()
        next_ms = min((entry.due_ms for entry in self.timetable.of_user(user_id)), default=now_ms + FULL_RETRY_MS)
        raise LimitExceeded(
            "The maximum number of delayed events has been reached",
            retry_after_ms=max(1, next_ms - now_ms),
            **{"org.matrix.msc4140.errcode": "M_MAX_DELAYED_EVENTS_EXCEEDED"},
        )

    def _checked(self, draft: DelayedDraft) -> bytes:
        """The content as it is stored. What no room takes is refused at once."""
        if draft.delay_ms > self.max_delay_ms:
            raise MaxDelayExceeded(self.max_delay_ms)
        if utf8_length(draft.room_id) > MAX_FIELD_LENGTH:
            raise not_in_room(draft.room_id[:MAX_FIELD_LENGTH])
        for text in (draft.type, draft.state_key or ""):
            if utf8_length(text) > MAX_FIELD_LENGTH:
                raise TooLarge(f"Type and state key have at most {MAX_FIELD_LENGTH} bytes")
        content = encode_canonical(draft.content)
        if len(content) > MAX_EVENT_BYTES:
            raise TooLarge(f"The content has more than {MAX_EVENT_BYTES} bytes")
        return content

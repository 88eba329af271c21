"""Sends a delayed event by the same verbs, and so by the same rules, as events that are not delayed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import orjson

from homeserver.services.rate_limits import AnyRateLimiter
from homeserver.services.requester import Requester
from homeserver.services.rooms.creation.power_levels import CALL_MEMBER_TYPES
from homeserver.services.rooms.send_event import SendEvent
from homeserver.services.rooms.set_state import SetState
from homeserver.services.rooms.transactions import SentTransactions, delayed_transaction
from homeserver.storage.delayed_events import DelayedEventRow

# "could schedule a large volume of events ahead of time [...] a common point of time in the future": they count like
# events that the user sends himself.
LIMIT = "message"


class Standing(Protocol):
    """Who is locked or suspended: services/standing/standings.py."""

    def marked(self, requester: Requester) -> Requester: ...


@dataclass(frozen=True, slots=True)
class Deliver:
    """One verb."""

    send: SendEvent
    set_state: SetState
    transactions: SentTransactions
    limiter: AnyRateLimiter
    standing: Standing

    async def __call__(self, row: DelayedEventRow) -> str:
        """The id of the event; the same when it was sent already and only that could not be noted.

        Raises what sending raises ("Power levels are evaluated at the point of sending"), LimitExceeded, Unavailable.
        """
        sender, content = _sender(row), orjson.loads(row.content)
        self.limiter.check(LIMIT, sender, "")
        if not _leaves_call(row.type, content):
            # Who was suspended or locked since says nothing more, but is not kept in his calls.
            sender = self.standing.marked(sender)
        transaction = delayed_transaction(row.user_id, row.delay_id)
        if row.state_key is None:
            return await self.send.as_transaction(sender, row.room_id, row.type, content, transaction, row.sticky_ms)
        state_key = row.state_key
        return await self.transactions.once(
            transaction,
            lambda: self.set_state(sender, row.room_id, row.type, state_key, content, transaction),
        )


def _leaves_call(event_type: str, content: dict[str, Any]) -> bool:
    return event_type in CALL_MEMBER_TYPES and not content.get("application")


def _sender(row: DelayedEventRow) -> Requester:
    """Whoever scheduled it, without what he may only do himself as an administrator: he may have ceased to be one."""
    return Requester(row.user_id, row.device_id or None, 0, 0, is_guest=row.is_guest, is_admin=False)

"""PUT /redact/{eventId}/{txnId}: take an event's content away, and send the redaction that says so."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from homeserver.protocol.auth.permissions import may_redact, may_send
from homeserver.protocol.builder import EventDraft
from homeserver.protocol.errors import (
    BadJson,
    Forbidden,
    InvalidParam,
    MissingParam,
    NotFound,
    Unavailable,
    UserSuspended,
)
from homeserver.protocol.identifiers import check_event_id
from homeserver.services.membership.content import check_joined
from homeserver.services.requester import Requester
from homeserver.services.rooms.append import Transaction
from homeserver.services.rooms.appender import Appender, Plan
from homeserver.services.rooms.live_room import LiveRoom
from homeserver.services.rooms.redacted_forms import RedactedForms, redacted_forms
from homeserver.services.rooms.refusals import not_in_room
from homeserver.services.rooms.room_cache import RoomCache
from homeserver.services.rooms.stored import to_timeline_event
from homeserver.services.rooms.timeline_event import TimelineEvent
from homeserver.services.rooms.transactions import SentTransactions, transaction_of
from homeserver.storage.events import Events
from homeserver.storage.rooms import Rooms

if TYPE_CHECKING:
    from homeserver.storage.database import Queries

# Without them a room cannot be understood: what other servers may do, and what the room is.
NEVER_REDACTED = frozenset({"m.room.create", "m.room.server_acl"})


@dataclass(frozen=True, slots=True)
class RedactEvent:
    """One verb. The event and its redaction change in one transaction."""

    queries: Queries
    cache: RoomCache
    events: Events
    rooms: Rooms
    appender: Appender
    transactions: SentTransactions
    server_name: str

    async def __call__(
        self, requester: Requester, room_id: str, event_id: str, content: Mapping[str, Any], txn_id: str
    ) -> str:
        """Redact; returns the id of the redaction. Raises Forbidden, BadJson, InvalidParam (the event is not there)."""
        check_event_id(event_id)
        transaction = transaction_of(requester, f"redact {room_id} {event_id}", txn_id)
        return await self._once(requester, room_id, event_id, content, transaction)

    async def also(self, requester: Requester, room_id: str, event_id: str, content: Mapping[str, Any]) -> str:
        """Redact what no client has named itself, so that there is no transaction to remember. Raises as above."""
        return await self._redact(requester, room_id, event_id, _draft(requester, event_id, content), None)

    async def sent_as_event(
        self,
        requester: Requester,
        room_id: str,
        content: Mapping[str, Any],
        transaction: Transaction,
        sticky_ms: int | None = None,
    ) -> str:
        """A client that uses PUT /send/m.room.redaction, where `redacts` is in the content for all room versions."""
        redacts = content.get("redacts")
        if redacts is None:
            raise MissingParam("A redaction must say what it redacts")
        if not isinstance(redacts, str):
            raise BadJson("'redacts' must be an event id")
        return await self._once(requester, room_id, check_event_id(redacts), content, transaction, sticky_ms)

    async def unseen(self, requester: Requester, target: TimelineEvent, content: Mapping[str, Any]) -> str:
        """An event that is in no timeline here, but may be in others'. Raises Forbidden, Unavailable."""
        room = await self._room_of_member(requester, target.room_id)
        forms = await self._forms(room, target)
        draft = EventDraft("m.room.redaction", requester.user_id, dict(content), redacts=target.event_id)

        def plan(room: LiveRoom) -> Plan:
            check_joined(room, requester.user_id)
            self._check_may_redact(room, requester, target)
            return Plan([draft], rewrite=forms)

        return (await self.appender.commit(target.room_id, plan))[-1].event_id

    async def _once(
        self,
        requester: Requester,
        room_id: str,
        event_id: str,
        content: Mapping[str, Any],
        transaction: Transaction,
        sticky_ms: int | None = None,
    ) -> str:
        draft = _draft(requester, event_id, content, sticky_ms)
        return await self.transactions.once(
            transaction, lambda: self._redact(requester, room_id, event_id, draft, transaction)
        )

    async def _redact(
        self, requester: Requester, room_id: str, event_id: str, draft: EventDraft, transaction: Transaction | None
    ) -> str:
        room = await self._room_of_member(requester, room_id)
        target = await self._target(room, event_id)
        if target.is_state and room.committing is not None:
            # What replaces the target just now repeats its content, and is in the database only when it is stored.
            await asyncio.wait([room.committing])
            room = await self._room_of_member(requester, room_id)
        standing = _standing(room, target)
        forms = await self._forms(room, target)

        def plan(room: LiveRoom) -> Plan:
            check_joined(room, requester.user_id)
            self._check_may_redact(room, requester, target)
            if _standing(room, target) != standing:
                raise Unavailable("This state has been changed just now, try again")
            return Plan([draft], transaction, rewrite=forms)

        return (await self.appender.commit(room_id, plan))[-1].event_id

    async def _room_of_member(self, requester: Requester, room_id: str) -> LiveRoom:
        try:
            room = await self.cache.get(room_id)
        except NotFound:
            raise not_in_room(room_id) from None
        check_joined(room, requester.user_id)
        return room

    async def _target(self, room: LiveRoom, event_id: str) -> TimelineEvent:
        records = await self.events.by_ids(self.queries, [event_id])
        if not records:
            # State from before this server came into the room is in force, and in no timeline.
            held = next((event for event in room.state if event.event_id == event_id), None)
            if held is not None:
                return held
        # The same answer for another room's event (400, which others give for it): who is not in that room learns
        # nothing of it.
        if not records or records[0]["room_nid"] != room.room_nid:
            raise InvalidParam(f"There is no event {event_id} in this room")
        return to_timeline_event(records[0], room.room_id)

    async def _forms(self, room: LiveRoom, target: TimelineEvent) -> RedactedForms | None:
        """What stored events become; None where the event is redacted already."""
        if target.is_redacted:
            return None
        follower = None
        if target.state_key is not None:
            record = await self.rooms.next_state_change(
                self.queries, room.room_nid, target.type, target.state_key, target.event_nid
            )
            follower = None if record is None else to_timeline_event(record, room.room_id)
        event_ids = [each.event_id for each in (target, follower) if each is not None]
        envelopes = await self.events.envelopes(self.queries, event_ids)
        return redacted_forms(room, target, follower, {key: pair[1] for key, pair in envelopes.items()})

    def _check_may_redact(self, room: LiveRoom, requester: Requester, target: TimelineEvent) -> None:
        if target.type in NEVER_REDACTED:
            raise Forbidden(f"{target.type} cannot be redacted")
        if requester.is_suspended and target.sender != requester.user_id:
            raise UserSuspended
        if not self.may_redact(room, requester, target.sender):
            raise Forbidden("You do not have the power to redact this event")

    def may_redact(self, room: LiveRoom, requester: Requester, sender: str) -> bool:
        """Whether the requester has the power to redact what this user sent. The suspended take back their own words only."""
        if requester.is_suspended and sender != requester.user_id:
            return False
        levels = room.power_levels()
        if may_redact(levels, requester.user_id, sender):
            return True
        # "Server administrators may redact events sent by users on their server."
        is_local = sender.endswith(f":{self.server_name}")
        return requester.is_admin and is_local and may_send(levels, requester.user_id, "m.room.redaction")


def _draft(
    requester: Requester, event_id: str, content: Mapping[str, Any], sticky_ms: int | None = None
) -> EventDraft:  # fmt: skip
    if not isinstance(content.get("reason", ""), str):
        raise BadJson("'reason' must be a string")
    said = {key: value for key, value in content.items() if key != "redacts"}
    return EventDraft("m.room.redaction", requester.user_id, said, redacts=event_id, sticky_ms=sticky_ms)


def _standing(room: LiveRoom, target: TimelineEvent) -> str | None:
    """The id of the state event that has the target's place now; None where the target is no state."""
    standing = None if target.state_key is None else room.fetch_auth_event(target.type, target.state_key)
    return None if standing is None else standing.event_id

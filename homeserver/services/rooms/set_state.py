"""PUT /state/{eventType}/{stateKey}: a state event."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from homeserver.protocol.builder import EventDraft
from homeserver.protocol.errors import Forbidden, NotFound, UserSuspended
from homeserver.services.membership.by_state import SetMembership
from homeserver.services.membership.content import check_joined
from homeserver.services.membership.guests import EvictGuests
from homeserver.services.requester import Requester
from homeserver.services.rooms.append import Transaction
from homeserver.services.rooms.appender import Appender, Plan
from homeserver.services.rooms.event_checks.canonical_alias import CheckCanonicalAlias
from homeserver.services.rooms.event_checks.power_levels import check_power_levels
from homeserver.services.rooms.event_checks.server_acl import SERVER_ACL, check_own_acl
from homeserver.services.rooms.event_checks.tombstone import TOMBSTONE, check_tombstone
from homeserver.services.rooms.live_room import LiveRoom
from homeserver.services.rooms.refusals import not_in_room
from homeserver.services.rooms.room_cache import RoomCache


@dataclass(frozen=True, slots=True)
class SetState:
    """One verb."""

    cache: RoomCache
    appender: Appender
    memberships: SetMembership
    check_canonical_alias: CheckCanonicalAlias
    evict_guests: EvictGuests
    server_name: str

    async def __call__(
        self,
        requester: Requester,
        room_id: str,
        event_type: str,
        state_key: str,
        content: dict[str, Any],
        transaction: Transaction | None = None,
        sent_ms: int | None = None,
    ) -> str:
        """Set state; state that stays the same is not set again. Returns the id of the event that is in force.

        A transaction is stored with the event, for the caller to look up first; memberships have none, and no `sent_ms`
        (the time that the event bears) either.

        Raises Forbidden, BadJson, InvalidParam, BadAlias, TooLarge, UserSuspended, and for memberships what their verbs raise.
        """
        if event_type == "m.room.create":
            raise Forbidden("A room is created once")
        if event_type == "m.room.member":
            return await self.memberships(requester, room_id, state_key, content)
        if requester.is_suspended:
            raise UserSuspended
        try:
            room = await self.cache.get(room_id)
            check_joined(room, requester.user_id)
            await self._check_content(room, event_type, state_key, content)
            draft = EventDraft(event_type, requester.user_id, content, state_key, origin_server_ts=sent_ms)
            event_id = await self._set(room_id, draft, transaction)
        except NotFound:
            raise not_in_room(room_id) from None
        if event_type == "m.room.guest_access":
            await self.evict_guests(room_id)
        return event_id

    async def _set(self, room_id: str, draft: EventDraft, transaction: Transaction | None) -> str:
        assert draft.state_key is not None
        key = (draft.type, draft.state_key)
        standing_id = ""

        def plan(room: LiveRoom) -> Plan:
            nonlocal standing_id
            check_joined(room, draft.sender)
            standing = room.fetch_auth_event(*key)
            if standing is not None and draft.repeats(standing):
                standing_id = standing.event_id
                return Plan([])
            return Plan([draft], transaction)

        events = await self.appender.commit(room_id, plan)
        return events[-1].event_id if events else standing_id

    async def _check_content(self, room: LiveRoom, event_type: str, state_key: str, content: dict[str, Any]) -> None:
        if state_key != "":
            return
        if event_type == "m.room.canonical_alias":
            await self.check_canonical_alias(room, content)
        elif event_type == TOMBSTONE:
            check_tombstone(content, room.room_id)
        elif event_type == "m.room.power_levels":
            check_power_levels(content, room.version)
        elif event_type == SERVER_ACL:
            check_own_acl(content, self.server_name)

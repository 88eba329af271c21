"""POST /join: become a member, by invitation, by an open door, or by membership elsewhere."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from homeserver.protocol.errors import Forbidden, GuestAccessForbidden
from homeserver.services.awake import AwakeUsers
from homeserver.services.membership.content import ProfileLookup, member_draft, membership_of
from homeserver.services.membership.restricted import (
    authorising_user,
    is_restricted,
    meets_condition,
    refuse_restricted,
)
from homeserver.services.requester import Requester
from homeserver.services.rooms.appender import Appender, Plan
from homeserver.services.rooms.live_room import LiveRoom
from homeserver.services.rooms.room_cache import RoomCache


@dataclass(frozen=True, slots=True)
class JoinRoom:
    """One verb."""

    cache: RoomCache
    appender: Appender
    awake: AwakeUsers
    profiles: ProfileLookup

    async def __call__(self, requester: Requester, room_id: str, *, reason: str | None = None) -> str:
        """Join; joining again changes nothing. Returns the room id.

        Raises NotFound, Forbidden, GuestAccessForbidden, UnableToGrantJoin.
        """
        room = await self.cache.get(room_id)
        if requester.is_guest:
            check_guest_access(room)
        needs_voucher = await self._needs_voucher(room, requester.user_id)
        profile = await self.profiles.member_profile(requester.user_id)

        def plan(room: LiveRoom) -> Plan:
            if membership_of(room, requester.user_id) == "join":
                return Plan([])
            extra: dict[str, Any] = {}
            if needs_voucher:
                extra["join_authorised_via_users_server"] = authorising_user(room)
            user_id = requester.user_id
            return Plan([member_draft(user_id, user_id, "join", profile, reason, **extra)])

        await self.appender.commit(room_id, plan)
        return room_id

    async def _needs_voucher(self, room: LiveRoom, user_id: str) -> bool:
        """Whether somebody must vouch for this join; refuses where a restricted room's conditions are not met."""
        if not is_restricted(room):
            return False
        membership = membership_of(room, user_id)
        if membership in ("join", "invite"):
            return False
        if membership == "ban":
            raise Forbidden("You are banned from this room")
        if not await meets_condition(room, user_id, self.awake):
            refuse_restricted()
        return True


def check_guest_access(room: LiveRoom) -> None:
    """Raises GuestAccessForbidden unless the room lets guests join (m.room.guest_access)."""
    event = room.fetch_auth_event("m.room.guest_access", "")
    if event is None or event.content.get("guest_access") != "can_join":
        raise GuestAccessForbidden("Guests may not join this room")

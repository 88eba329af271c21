"""POST /join: become a member, by invitation, by an open door, or by membership elsewhere."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from homeserver.protocol.builder import EventDraft
from homeserver.protocol.errors import Forbidden, GuestAccessForbidden
from homeserver.protocol.events import Event
from homeserver.services.awake import AwakeUsers
from homeserver.services.membership.change import ChangeMembership
from homeserver.services.membership.content import ProfileLookup, member_draft, membership_of
from homeserver.services.membership.restricted import (
    authorising_user,
    is_restricted,
    meets_condition,
    refuse_restricted,
)
from homeserver.services.requester import Requester
from homeserver.services.rooms.live_room import LiveRoom
from homeserver.services.rooms.room_cache import RoomCache


class AfterJoin(Protocol):
    """What has to happen when somebody has come in."""

    async def __call__(self, user_id: str, room: LiveRoom) -> None: ...


@dataclass(frozen=True, slots=True)
class JoinRoom:
    """One verb."""

    cache: RoomCache
    change: ChangeMembership
    awake: AwakeUsers
    profiles: ProfileLookup
    after_join: AfterJoin

    async def __call__(
        self, requester: Requester, room_id: str, *, reason: str | None = None, extra: Mapping[str, Any] | None = None
    ) -> str:
        """Join; joining again changes nothing, unless `extra` brings new keys (a name for this room). Returns the event id.

        Raises NotFound, Forbidden, GuestAccessForbidden, UnableToGrantJoin.
        """
        user_id = requester.user_id
        room = await self.cache.get(room_id)
        if requester.is_guest:
            check_guest_access(room)
        needs_voucher = await self._needs_voucher(room, user_id)
        profile = await self.profiles.member_profile(user_id)

        def change(room: LiveRoom, standing: Event | None) -> EventDraft | None:
            if extra is None and standing is not None and standing.membership == "join":
                return None
            voucher = {"join_authorised_via_users_server": authorising_user(room)} if needs_voucher else {}
            return member_draft(user_id, user_id, "join", profile, reason, {**(extra or {}), **voucher})

        event_id = await self.change(room_id, user_id, change)
        await self.after_join(user_id, await self.cache.get(room_id))
        return event_id

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
    if not lets_guests_in(room):
        raise GuestAccessForbidden("Guests may not join this room")


def lets_guests_in(room: LiveRoom) -> bool:
    """Whether m.room.guest_access says `can_join`."""
    event = room.fetch_auth_event("m.room.guest_access", "")
    return event is not None and event.content.get("guest_access") == "can_join"

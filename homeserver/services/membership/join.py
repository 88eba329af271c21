"""POST /join: become a member, by invitation, by an open door, or by membership elsewhere."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from homeserver.protocol.builder import EventDraft
from homeserver.protocol.errors import Forbidden, GuestAccessForbidden
from homeserver.protocol.events import Event
from homeserver.services.awake import AwakeUsers
from homeserver.services.membership.change import ChangeMembership
from homeserver.services.membership.content import MemberProfile, ProfileLookup, member_draft, membership_of
from homeserver.services.membership.remote import RemoteRooms
from homeserver.services.membership.restricted import (
    authorising_user,
    is_restricted,
    may_vouch,
    meets_condition,
    refuse_restricted,
    vouching_servers,
)
from homeserver.services.membership.whereabouts import Whereabouts
from homeserver.services.requester import Requester
from homeserver.services.rooms.blocked_rooms import BlockedRooms
from homeserver.services.rooms.live_room import LiveRoom
from homeserver.services.rooms.room_cache import RoomCache
from homeserver.services.standing.arrivals import SuspendedArrivals

_NOTHING: Mapping[str, Any] = {}


@dataclass(frozen=True, slots=True)
class _Wish:
    """Who wants to join what, and what the event shall say."""

    requester: Requester
    room_id: str
    profile: MemberProfile
    reason: str | None
    extra: Mapping[str, Any] | None

    def draft(self, voucher: Mapping[str, Any] = _NOTHING) -> EventDraft:
        user_id = self.requester.user_id
        return member_draft(user_id, user_id, "join", self.profile, self.reason, {**(self.extra or {}), **voucher})


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
    whereabouts: Whereabouts
    remote: RemoteRooms
    blocked: BlockedRooms
    suspended: SuspendedArrivals

    async def __call__(
        self,
        requester: Requester,
        room_id: str,
        *,
        reason: str | None = None,
        extra: Mapping[str, Any] | None = None,
        via: Sequence[str] = (),
    ) -> str:
        """Join; joining again changes nothing, unless `extra` brings new keys (a name for this room). Returns the event id.

        `via`: servers that may know the room, where this one is not in it.
        Raises NotFound, Forbidden, UserSuspended, GuestAccessForbidden, UnableToGrantJoin, and what `RemoteRooms` raises.
        """
        await self.suspended.check(requester, room_id)
        profile = await self.profiles.member_profile(requester.user_id)
        wish = _Wish(requester, room_id, profile, reason, extra)
        room = await self.whereabouts.ours(requester.user_id, room_id)
        if room is None or membership_of(room, requester.user_id) != "join":
            self.blocked.check(room_id)
        event_id = await self._elsewhere(wish, via) if room is None else await self._here(wish, room)
        await self.after_join(requester.user_id, await self.cache.get(room_id))
        return event_id

    async def _here(self, wish: _Wish, room: LiveRoom) -> str:
        user_id = wish.requester.user_id
        if wish.requester.is_guest:
            check_guest_access(room)
        needs_voucher = await self._needs_voucher(room, user_id)
        if needs_voucher and not may_vouch(room) and (servers := vouching_servers(room)):
            return await self.remote.join_vouched(user_id, wish.room_id, servers, wish.draft().content)

        def change(room: LiveRoom, standing: Event | None) -> EventDraft | None:
            if wish.extra is None and standing is not None and standing.membership == "join":
                return None
            voucher = {"join_authorised_via_users_server": authorising_user(room)} if needs_voucher else {}
            return wish.draft(voucher)

        return await self.change(wish.room_id, user_id, change)

    async def _elsewhere(self, wish: _Wish, via: Sequence[str]) -> str:
        if wish.requester.is_guest:
            # What the room says of guests is known too late to turn back.
            raise GuestAccessForbidden("Guests may not join rooms of other servers")
        user_id, room_id = wish.requester.user_id, wish.room_id
        servers = await self.whereabouts.servers(user_id, room_id, via)
        event_id = await self.remote.join(user_id, room_id, servers, wish.draft().content)
        return event_id or await self._here(wish, await self.cache.get(room_id))

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

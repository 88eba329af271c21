"""Memberships: the verbs by which people come into rooms and go."""

from __future__ import annotations

from dataclasses import dataclass

from config.settings import Settings
from homeserver.composition.foundation import Foundation
from homeserver.composition.kernel import Kernel
from homeserver.composition.travel import TravelServices
from homeserver.services.membership.by_state import SetMembership
from homeserver.services.membership.change import ChangeMembership
from homeserver.services.membership.depart import DepartRoom
from homeserver.services.membership.forget import ForgetRoom
from homeserver.services.membership.guest_access_elsewhere import FollowGuestAccess
from homeserver.services.membership.guests import EvictGuests
from homeserver.services.membership.invitable import Invitable, InviteBlocks
from homeserver.services.membership.invite import InviteUser
from homeserver.services.membership.join import AfterJoin, JoinRoom
from homeserver.services.membership.knock import KnockRoom
from homeserver.services.membership.leave_all import LeaveAllRooms
from homeserver.services.membership.profile_changes import PropagateProfile
from homeserver.services.membership.profiles import MemberProfiles
from homeserver.services.membership.proven_invites import ProvenInvites
from homeserver.services.rooms.blocked_rooms import BlockedRooms
from homeserver.services.standing.arrivals import SuspendedArrivals
from homeserver.storage.blocked_rooms import BlockedRoomRows
from homeserver.storage.notice_rooms import NoticeRoomRows
from homeserver.storage.profiles import ProfileRows


@dataclass(frozen=True, slots=True)
class MembershipServices:
    """One verb a field."""

    change: ChangeMembership
    profiles: MemberProfiles
    invitable: Invitable
    join: JoinRoom
    knock: KnockRoom
    invite: InviteUser
    depart: DepartRoom
    forget: ForgetRoom
    by_state: SetMembership
    leave_all: LeaveAllRooms
    evict_guests: EvictGuests
    propagate_profile: PropagateProfile
    blocked: BlockedRooms
    proven: ProvenInvites


def notices_user(base: Foundation, settings: Settings) -> str | None:
    """Who speaks for the server; None where nobody does."""
    localpart = settings.server_notices.localpart
    return None if localpart is None else f"@{localpart}:{base.server_name}"


def build_memberships(
    base: Foundation,
    kernel: Kernel,
    blocks: InviteBlocks,
    after_join: AfterJoin,
    travel: TravelServices,
    notices_user: str | None = None,
) -> MembershipServices:
    """Everything that writes m.room.member events. `notices_user`: who speaks for the server."""
    profiles = MemberProfiles(base.database, ProfileRows())
    where, remote = travel.whereabouts, travel.rooms
    invitable = Invitable(base.server_name, travel.federates, blocks)
    change = ChangeMembership(kernel.appender)
    blocked = _blocked_rooms(base)
    suspended = SuspendedArrivals(base.database, NoticeRoomRows())
    join = JoinRoom(base.cache, change, base.awake, profiles, after_join, where, remote, blocked, suspended)
    knock = KnockRoom(change, profiles, where, remote, blocked)
    invite = InviteUser(change, profiles, invitable, base.cache, remote, blocked)
    depart = DepartRoom(change, where, remote, notices_user)
    evict_guests = EvictGuests(base.database, base.cache, kernel.appender, base.memberships)
    _follow_guest_access(base, evict_guests)
    return MembershipServices(
        change=change,
        profiles=profiles,
        invitable=invitable,
        join=join,
        knock=knock,
        invite=invite,
        depart=depart,
        forget=ForgetRoom(base.database, base.memberships, base.awake),
        by_state=SetMembership(base.cache, join, invite, knock, depart),
        leave_all=LeaveAllRooms(depart, base.awake),
        evict_guests=evict_guests,
        propagate_profile=PropagateProfile(kernel.appender, base.awake),
        blocked=blocked,
        proven=ProvenInvites(),
    )


def _blocked_rooms(base: Foundation) -> BlockedRooms:
    blocked = BlockedRooms(base.database, BlockedRoomRows(), base.audit, base.clock)
    base.life.on_start(blocked.load)
    base.life.reports_memory("blocked_rooms", blocked.memory_usage)
    return blocked


def _follow_guest_access(base: Foundation, evict_guests: EvictGuests) -> None:
    follow = FollowGuestAccess(evict_guests, base.server_name)
    base.announcer.on_events(follow.apply_events)
    base.announcer.on_resolved(follow.apply_resolved)
    base.life.on_stop(follow.stop)
    base.life.reports_memory("guest_access", follow.memory_usage)

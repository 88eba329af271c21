"""Rooms, written: create, send, state, redact, memberships, aliases, directory."""

from __future__ import annotations

from dataclasses import dataclass, field

from config.settings import Settings
from homeserver.composition.accounts import AccountServices
from homeserver.composition.directory import DirectoryServices, build_directory
from homeserver.composition.foundation import Foundation
from homeserver.composition.kernel import Kernel
from homeserver.composition.memberships import MembershipServices, build_memberships, notices_user
from homeserver.composition.readers import ReaderServices
from homeserver.composition.travel import TravelServices
from homeserver.http.client.membership import MembershipEndpoints
from homeserver.http.client.room_creation import RoomCreationEndpoints
from homeserver.http.client.room_upgrade import RoomUpgradeEndpoints
from homeserver.http.endpoint import Endpoint, endpoints_of
from homeserver.services.directory.remote_rooms import RemotePublicRooms
from homeserver.services.identity_servers.invite import InviteAddressesToNewRoom
from homeserver.services.rate_limits import AnyRateLimiter
from homeserver.services.rooms.creation.create_room import CreateRoom
from homeserver.services.rooms.creation.first_guests import InviteToNewRoom
from homeserver.services.rooms.creation.founder import RoomFounder
from homeserver.services.rooms.event_checks.canonical_alias import CheckCanonicalAlias
from homeserver.services.rooms.event_checks.relations import CheckRelation
from homeserver.services.rooms.redact_event import RedactEvent
from homeserver.services.rooms.send_event import SendEvent
from homeserver.services.rooms.set_state import SetState
from homeserver.services.rooms.upgrade.carry_names import CarryNames
from homeserver.services.rooms.upgrade.carry_settings import CarrySettings
from homeserver.services.rooms.upgrade.upgrade_room import UpgradeRoom
from homeserver.storage.account_data import AccountDataRows
from homeserver.storage.relation_checks import RelationChecks


@dataclass(frozen=True, slots=True)
class RoomServices:
    """Verbs that append to rooms."""

    create: CreateRoom
    send: SendEvent
    set_state: SetState
    redact: RedactEvent
    upgrade: UpgradeRoom
    memberships: MembershipServices
    directory: DirectoryServices
    endpoints: list[Endpoint] = field(default_factory=list)


def build_rooms(
    base: Foundation,
    settings: Settings,
    accounts: AccountServices,
    readers: ReaderServices,
    kernel: Kernel,
    limiter: AnyRateLimiter,
    remote_rooms: RemotePublicRooms,
    travel: TravelServices,
) -> RoomServices:
    """Everything that writes into rooms goes through the kernel's appender."""
    database, cache, clock, appender = base.database, base.cache, base.clock, kernel.appender
    directory = build_directory(base, settings, appender, remote_rooms, travel.aliases, accounts.appservices)
    aliases, listed = directory.alias_rows, directory.rows
    carry = CarrySettings(
        database,
        cache,
        base.awake,
        AccountDataRows(),
        readers.account_data_stream,
        readers.push_rules,
        CarryNames(database, aliases, listed, directory.published),
    )
    members = build_memberships(base, kernel, readers.invite_filters, carry, travel, notices_user(base, settings))
    found = RoomFounder(database, appender, base.rooms, clock, base.server_name)
    create = CreateRoom(
        database=database,
        found=found,
        aliases=aliases,
        directory=listed,
        published=directory.published,
        profiles=members.profiles,
        invite=InviteToNewRoom(members.invitable, travel.rooms),
        clock=clock,
        default_version=settings.rooms.default_version,
        allow_publish=settings.room_directory.allow_publish,
        reservations=accounts.appservices,
    )
    redact = RedactEvent(database, cache, base.events, base.rooms, appender, kernel.transactions, base.server_name)
    send = SendEvent(appender, kernel.transactions, CheckRelation(database, cache, RelationChecks()), redact)
    check_alias = CheckCanonicalAlias(database, aliases)
    set_state = SetState(cache, appender, members.by_state, check_alias, members.evict_guests, base.server_name)
    upgrade = UpgradeRoom(cache, appender, found, aliases, listed, directory.published, members.profiles, carry)
    _follow_accounts(accounts, kernel, members, readers)
    by_address = accounts.identity_servers.invite_by_address(cache, members.invite, set_state)
    encrypted = frozenset(settings.rooms.encrypt_by_default)
    endpoints = endpoints_of(
        RoomCreationEndpoints(create, base.server_name, limiter, InviteAddressesToNewRoom(by_address), encrypted),
        RoomUpgradeEndpoints(upgrade),
        MembershipEndpoints(
            directory.resolve,
            members.join,
            members.knock,
            members.invite,
            members.depart,
            members.forget,
            base.awake,
            by_address,
            members.proven,
            limiter,
        ),
    )
    every = [*endpoints, *directory.endpoints]
    return RoomServices(create, send, set_state, redact, upgrade, members, directory, every)


def _follow_accounts(
    accounts: AccountServices, kernel: Kernel, members: MembershipServices, readers: ReaderServices
) -> None:  # fmt: skip
    """What happens in rooms when an account, its profile or its devices change."""

    async def leave_rooms(user_id: str, erase: bool) -> None:
        await members.leave_all(user_id)

    accounts.accounts.on_deactivated.extend((leave_rooms, readers.forget))
    accounts.profiles.on_changed.append(members.propagate_profile)
    accounts.devices.hooks.deleted.append(kernel.transactions.forget_devices)

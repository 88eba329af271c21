"""Rooms, written: create, send, state, redact, memberships, aliases, directory."""

from __future__ import annotations

from dataclasses import dataclass, field

from config.settings import Settings
from homeserver.composition.accounts import AccountServices
from homeserver.composition.foundation import Foundation
from homeserver.composition.kernel import Kernel
from homeserver.composition.memberships import MembershipServices, build_memberships
from homeserver.composition.readers import ReaderServices
from homeserver.http.client.membership import MembershipEndpoints
from homeserver.http.client.room_creation import RoomCreationEndpoints
from homeserver.http.client.room_events import RoomEventEndpoints
from homeserver.http.endpoint import Endpoint, endpoints_of
from homeserver.services.directory.resolve import ResolveRoom
from homeserver.services.rooms.creation.create_room import CreateRoom
from homeserver.services.rooms.creation.founder import RoomFounder
from homeserver.services.rooms.event_checks.canonical_alias import CheckCanonicalAlias
from homeserver.services.rooms.event_checks.relations import CheckRelation
from homeserver.services.rooms.redact_event import RedactEvent
from homeserver.services.rooms.send_event import SendEvent
from homeserver.services.rooms.set_state import SetState
from homeserver.storage.aliases import Aliases
from homeserver.storage.relation_checks import RelationChecks
from homeserver.storage.room_directory import RoomDirectoryRows


@dataclass(frozen=True, slots=True)
class RoomServices:
    """Verbs that append to rooms."""

    create: CreateRoom
    send: SendEvent
    set_state: SetState
    redact: RedactEvent
    memberships: MembershipServices
    resolve: ResolveRoom
    endpoints: list[Endpoint] = field(default_factory=list)


def build_rooms(
    base: Foundation, settings: Settings, accounts: AccountServices, readers: ReaderServices, kernel: Kernel
) -> RoomServices:
    """Everything that writes into rooms goes through the kernel's appender."""
    database, cache, clock, appender = base.database, base.cache, base.clock, kernel.appender
    aliases, directory = Aliases(), RoomDirectoryRows()
    members = build_memberships(base, kernel, readers.invite_permissions)
    create = CreateRoom(
        database=database,
        found=RoomFounder(database, appender, base.rooms, clock, base.server_name),
        aliases=aliases,
        directory=directory,
        profiles=members.profiles,
        invitable=members.invitable,
        clock=clock,
        default_version=settings.rooms.default_version,
        allow_publish=settings.room_directory.allow_publish,
    )
    redact = RedactEvent(database, cache, base.events, base.rooms, appender, kernel.transactions, base.server_name)
    send = SendEvent(appender, kernel.transactions, CheckRelation(database, cache, RelationChecks()), redact)
    check_alias = CheckCanonicalAlias(database, aliases)
    set_state = SetState(cache, appender, members.by_state, check_alias, members.evict_guests, base.server_name)
    resolve = ResolveRoom(database, aliases)
    _follow_accounts(accounts, kernel, members)
    endpoints = endpoints_of(
        RoomCreationEndpoints(create, base.server_name),
        RoomEventEndpoints(send, set_state, redact),
        MembershipEndpoints(
            resolve, members.join, members.knock, members.invite, members.depart, members.forget, base.awake
        ),
    )
    return RoomServices(create, send, set_state, redact, members, resolve, list(endpoints))


def _follow_accounts(accounts: AccountServices, kernel: Kernel, members: MembershipServices) -> None:
    """What happens in rooms when an account, its profile or its devices change."""

    async def leave_rooms(user_id: str, erase: bool) -> None:
        await members.leave_all(user_id)

    accounts.accounts.on_deactivated.append(leave_rooms)
    accounts.profiles.on_changed.append(members.propagate_profile)
    accounts.devices.hooks.deleted.append(kernel.transactions.forget_devices)

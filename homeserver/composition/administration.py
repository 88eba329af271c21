"""What only administrators may do, and what they did."""

from __future__ import annotations

from dataclasses import dataclass, field

from homeserver.composition.accounts import AccountServices
from homeserver.composition.foundation import Foundation
from homeserver.composition.moderation import ModerationServices
from homeserver.composition.reading import ReadingServices
from homeserver.http.admin.audit import AuditEndpoints
from homeserver.http.admin.room_reading import RoomReadingEndpoints
from homeserver.http.admin.rooms import RoomListEndpoints
from homeserver.http.admin.user_devices import UserDeviceEndpoints
from homeserver.http.admin.user_files import UserFileEndpoints
from homeserver.http.admin.user_rates import UserRateEndpoints
from homeserver.http.admin.user_rooms import UserRoomEndpoints
from homeserver.http.admin.users import UserEndpoints
from homeserver.http.endpoint import Endpoint, endpoints_of
from homeserver.services.administration.accounts import AccountAdministration
from homeserver.services.administration.room_reading import RoomReading
from homeserver.services.administration.rooms import RoomAdministration
from homeserver.services.administration.user_devices import DeviceAdministration
from homeserver.services.administration.user_files import FileAdministration
from homeserver.services.administration.user_list import UserList
from homeserver.services.administration.user_rates import UserRates
from homeserver.services.administration.user_rooms import UserInsight
from homeserver.services.rate_limits import AnyRateLimiter, BucketRateLimiter
from homeserver.services.spaces.hierarchy import ReadHierarchy
from homeserver.services.spaces.local_rooms import LocalRooms
from homeserver.services.spaces.remote import NoOtherServersSpaces
from homeserver.services.standing.moderation import AccountModeration
from homeserver.storage.account_data import AccountDataRows
from homeserver.storage.administered_rooms import AdministeredRooms
from homeserver.storage.administration import AdministrationRows
from homeserver.storage.pdus import Pdus
from homeserver.storage.rate_overrides import RateOverrideRows
from homeserver.storage.space_trees import SpaceTrees
from homeserver.storage.user_files import UserFileRows


@dataclass(frozen=True, slots=True)
class AdministrationServices:
    """Nobody else needs anything of it."""

    endpoints: list[Endpoint] = field(default_factory=list)


def build_administration(
    base: Foundation,
    accounts: AccountServices,
    moderation: ModerationServices,
    reading: ReadingServices,
    limiter: AnyRateLimiter,
) -> AdministrationServices:
    """Uses what all others have made."""
    endpoints = endpoints_of(AuditEndpoints(base.audit))
    return AdministrationServices(
        [*endpoints, *_build_users(base, accounts, moderation, limiter), *_build_rooms(base, reading)]
    )  # fmt: skip


def _build_rooms(base: Foundation, reading: ReadingServices) -> list[Endpoint]:
    database, audit = base.database, base.audit
    local = LocalRooms(database, SpaceTrees(), base.server_name)
    hierarchy = ReadHierarchy(local, NoOtherServersSpaces(), base.awake, base.clock, sees_everything=True)
    rooms = RoomReading(database, base.cache, Pdus(), reading.for_administrators, hierarchy, audit)
    endpoints = endpoints_of(
        RoomListEndpoints(RoomAdministration(database, AdministeredRooms(base.server_name))),
        RoomReadingEndpoints(rooms),
    )
    return list(endpoints)


def _build_users(
    base: Foundation, accounts: AccountServices, moderation: ModerationServices, limiter: AnyRateLimiter
) -> list[Endpoint]:
    database, audit, people = base.database, base.audit, _build_accounts(base, accounts)
    files = FileAdministration(database, UserFileRows(), people, moderation.remove_media, audit)
    # Without limits nobody needs one of his own; it is remembered all the same.
    in_force = limiter.own_rates if isinstance(limiter, BucketRateLimiter) else {}
    rates = UserRates(database, RateOverrideRows(), people, in_force, audit)
    base.life.on_start(rates.load)
    insight = UserInsight(database, people.rows, base.memberships, AccountDataRows(), people, audit)
    endpoints = endpoints_of(
        UserEndpoints(people, UserList(database, people.rows)),
        UserDeviceEndpoints(DeviceAdministration(database, people, accounts.devices, audit)),
        UserFileEndpoints(files),
        UserRoomEndpoints(insight),
        UserRateEndpoints(rates),
    )
    return list(endpoints)


def _build_accounts(base: Foundation, accounts: AccountServices) -> AccountAdministration:
    users = accounts.accounts.users
    return AccountAdministration(
        database=base.database,
        rows=AdministrationRows(),
        accounts=accounts.accounts,
        new_accounts=accounts.new_accounts,
        profiles=accounts.profiles,
        devices=accounts.devices,
        moderation=AccountModeration(base.database, users, accounts.standings, base.server_name),
        authenticator=accounts.authenticator,
        audit=base.audit,
        server_name=base.server_name,
    )

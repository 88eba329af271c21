"""What only administrators may do, and what they did."""

from __future__ import annotations

from dataclasses import dataclass, field

from homeserver import VERSION
from homeserver.composition.accounts import AccountServices
from homeserver.composition.federation import SERVER_SOFTWARE, FederationServices
from homeserver.composition.foundation import Foundation
from homeserver.composition.moderation import ModerationServices
from homeserver.composition.push import PushServices
from homeserver.composition.reading import ReadingServices
from homeserver.composition.rooms import RoomServices
from homeserver.http.admin.audit import AuditEndpoints
from homeserver.http.admin.federation import DestinationEndpoints
from homeserver.http.admin.login_as import LoginAsEndpoints
from homeserver.http.admin.reports import EventReportEndpoints
from homeserver.http.admin.room_power import RoomPowerEndpoints
from homeserver.http.admin.room_reading import RoomReadingEndpoints
from homeserver.http.admin.rooms import RoomListEndpoints
from homeserver.http.admin.server import ServerEndpoints
from homeserver.http.admin.user_devices import UserDeviceEndpoints
from homeserver.http.admin.user_files import UserFileEndpoints
from homeserver.http.admin.user_pushers import UserPusherEndpoints
from homeserver.http.admin.user_rates import UserRateEndpoints
from homeserver.http.admin.user_rooms import UserRoomEndpoints
from homeserver.http.admin.users import UserEndpoints
from homeserver.http.endpoint import Endpoint, endpoints_of
from homeserver.services.administration.accounts import AccountAdministration
from homeserver.services.administration.destinations import DestinationAdministration
from homeserver.services.administration.reports import ReportAdministration
from homeserver.services.administration.room_power import RoomPower
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
from homeserver.storage.destinations import DestinationRows
from homeserver.storage.pdus import Pdus
from homeserver.storage.rate_overrides import RateOverrideRows
from homeserver.storage.reports import ReportRows
from homeserver.storage.space_trees import SpaceTrees
from homeserver.storage.user_files import UserFileRows


@dataclass(frozen=True, slots=True)
class AdministrationServices:
    """Nobody else needs anything of it."""

    endpoints: list[Endpoint] = field(default_factory=list)


def build_administration(
    base: Foundation,
    accounts: AccountServices,
    rooms: RoomServices,
    reading: ReadingServices,
    moderation: ModerationServices,
    federation: FederationServices,
    limiter: AnyRateLimiter,
    push: PushServices,
) -> AdministrationServices:
    """Uses what all others have made."""
    people, known = _build_accounts(base, accounts), AdministeredRooms(base.server_name)
    reports = ReportAdministration(base.database, ReportRows(), known, Pdus(), base.audit)
    endpoints = [
        *endpoints_of(
            ServerEndpoints(SERVER_SOFTWARE, VERSION), AuditEndpoints(base.audit), EventReportEndpoints(reports)
        ),
        *_build_users(base, people, accounts, moderation, push),
        *_build_rooms(base, people, rooms, reading, known),
        *_build_federation(base, federation),
        *_build_rates(base, people, limiter),
    ]
    return AdministrationServices(endpoints)


def _build_users(
    base: Foundation,
    people: AccountAdministration,
    accounts: AccountServices,
    moderation: ModerationServices,
    push: PushServices,
) -> list[Endpoint]:
    database, audit = base.database, base.audit
    files = FileAdministration(database, UserFileRows(), people, moderation.remove_media, audit)
    insight = UserInsight(database, people.rows, base.memberships, AccountDataRows(), people, audit)
    endpoints = endpoints_of(
        UserEndpoints(people, UserList(database, people.rows)),
        UserDeviceEndpoints(DeviceAdministration(database, people, accounts.devices, audit)),
        UserFileEndpoints(files),
        UserPusherEndpoints(people, push.pushers),
        LoginAsEndpoints(people, accounts.borrowed),
        UserRoomEndpoints(insight),
    )
    return list(endpoints)


def _build_rooms(
    base: Foundation,
    people: AccountAdministration,
    rooms: RoomServices,
    reading: ReadingServices,
    known: AdministeredRooms,
) -> list[Endpoint]:
    database, audit, members = base.database, base.audit, rooms.memberships
    local = LocalRooms(database, SpaceTrees(), base.server_name)
    hierarchy = ReadHierarchy(local, NoOtherServersSpaces(), base.awake, base.clock, sees_everything=True)
    read = RoomReading(database, base.cache, Pdus(), reading.for_administrators, hierarchy, audit)
    resolve, set_state = rooms.directory.resolve, rooms.set_state
    power = RoomPower(
        database, base.cache, known, resolve, people, members.join, members.invite, set_state, audit
    )  # fmt: skip
    endpoints = endpoints_of(
        RoomListEndpoints(RoomAdministration(database, known)), RoomReadingEndpoints(read), RoomPowerEndpoints(power)
    )
    return list(endpoints)


def _build_rates(base: Foundation, people: AccountAdministration, limiter: AnyRateLimiter) -> list[Endpoint]:
    in_force = limiter.own_rates if isinstance(limiter, BucketRateLimiter) else {}
    rates = UserRates(base.database, RateOverrideRows(), people, in_force, base.audit)
    base.life.on_start(rates.load)
    return list(endpoints_of(UserRateEndpoints(rates)))


def _build_federation(base: Foundation, federation: FederationServices) -> list[Endpoint]:
    if federation.client is None:
        return []
    destinations = DestinationAdministration(
        base.database, DestinationRows(), federation.client.pauses, base.audit, base.server_name
    )
    return list(endpoints_of(DestinationEndpoints(destinations)))


def _build_accounts(base: Foundation, accounts: AccountServices) -> AccountAdministration:
    users = accounts.accounts.users
    return AccountAdministration(
        database=base.database,
        rows=AdministrationRows(),
        accounts=accounts.accounts,
        new_accounts=accounts.new_accounts,
        profiles=accounts.profiles,
        moderation=AccountModeration(base.database, users, accounts.standings, base.server_name),
        authenticator=accounts.authenticator,
        notices=accounts.threepids.notices,
        audit=base.audit,
        server_name=base.server_name,
    )

"""Rooms, written: create, send, state, redact, memberships, aliases, directory."""

from __future__ import annotations

from dataclasses import dataclass, field

from config.settings import Settings
from homeserver.composition.foundation import Foundation
from homeserver.composition.kernel import Kernel
from homeserver.http.client.membership import MembershipEndpoints
from homeserver.http.client.room_creation import RoomCreationEndpoints
from homeserver.http.client.room_events import RoomEventEndpoints
from homeserver.http.endpoint import Endpoint, endpoints_of
from homeserver.services.directory.resolve import ResolveRoom
from homeserver.services.membership.join import JoinRoom
from homeserver.services.membership.profiles import MemberProfiles
from homeserver.services.rooms.creation.create_room import CreateRoom
from homeserver.services.rooms.creation.founder import RoomFounder
from homeserver.services.rooms.send_event import SendEvent
from homeserver.storage.aliases import Aliases
from homeserver.storage.profiles import ProfileRows
from homeserver.storage.room_directory import RoomDirectoryRows


@dataclass(frozen=True, slots=True)
class RoomServices:
    """Verbs that append to rooms."""

    create: CreateRoom
    send: SendEvent
    join: JoinRoom
    resolve: ResolveRoom
    endpoints: list[Endpoint] = field(default_factory=list)


def build_rooms(base: Foundation, settings: Settings, kernel: Kernel) -> RoomServices:
    """Everything that writes into rooms goes through the kernel's appender."""
    database, clock, server_name = base.database, base.clock, base.server_name
    appender = kernel.appender
    aliases, directory = Aliases(), RoomDirectoryRows()
    profiles = MemberProfiles(database, ProfileRows())
    founder = RoomFounder(database, appender, base.rooms, clock, server_name)
    create = CreateRoom(
        database,
        founder,
        aliases,
        directory,
        profiles,
        clock,
        server_name,
        settings.rooms.default_version,
        settings.room_directory.allow_publish,
    )
    send = SendEvent(appender, kernel.transactions)
    join = JoinRoom(base.cache, appender, base.awake, profiles)
    resolve = ResolveRoom(database, aliases)
    endpoints = endpoints_of(
        RoomCreationEndpoints(create, server_name), RoomEventEndpoints(send), MembershipEndpoints(resolve, join)
    )
    return RoomServices(create, send, join, resolve, list(endpoints))

"""How rooms are found: aliases and the public directory."""

from __future__ import annotations

from dataclasses import dataclass, field

from config.settings import Settings
from homeserver.composition.foundation import Foundation
from homeserver.http.client.aliases import AliasEndpoints
from homeserver.http.client.room_directory import NetworkDirectoryEndpoints, RoomDirectoryEndpoints
from homeserver.http.endpoint import Endpoint, endpoints_of
from homeserver.services.directory.aliases import AliasesChanged, Reservations, RoomAliases
from homeserver.services.directory.networks import NetworkRooms
from homeserver.services.directory.publish import PublishRoom
from homeserver.services.directory.published import PublishedRooms
from homeserver.services.directory.remote import RemoteAliases
from homeserver.services.directory.remote_rooms import RemotePublicRooms
from homeserver.services.directory.resolve import ResolveRoom
from homeserver.services.directory.search import SearchDirectory
from homeserver.services.rooms.appender import Appender
from homeserver.storage.aliases import Aliases
from homeserver.storage.network_rooms import NetworkRoomRows
from homeserver.storage.room_directory import RoomDirectoryRows


@dataclass(frozen=True, slots=True)
class DirectoryServices:
    """What rooms need of the directory when they are made, upgraded or joined by name."""

    alias_rows: Aliases
    rows: RoomDirectoryRows
    published: PublishedRooms
    resolve: ResolveRoom
    search: SearchDirectory
    on_aliases_changed: list[AliasesChanged]
    endpoints: list[Endpoint] = field(default_factory=list)


def build_directory(
    base: Foundation,
    settings: Settings,
    appender: Appender,
    remote_rooms: RemotePublicRooms,
    remote_aliases: RemoteAliases,
    reservations: Reservations,
) -> DirectoryServices:
    """The list of published rooms follows committed events."""
    database, cache, clock, rules = base.database, base.cache, base.clock, settings.room_directory
    alias_rows, rows = Aliases(), RoomDirectoryRows()
    published = PublishedRooms(database, rows, cache, clock)
    base.announcer.on_events(published.apply_events)
    base.announcer.on_resolved(published.apply_resolved)
    base.life.reports_memory("published_rooms", published.memory_usage)
    resolve = ResolveRoom(database, alias_rows, cache, remote_aliases, base.server_name)
    network_rows = NetworkRoomRows()
    of_networks = PublishedRooms(database, network_rows, cache, clock)
    base.announcer.on_events(of_networks.apply_events)
    base.announcer.on_resolved(of_networks.apply_resolved)
    networks = NetworkRooms(database, network_rows, of_networks, cache, clock)
    search = SearchDirectory(published, networks)
    must_be_member = settings.rooms.require_membership_for_aliases
    aliases = RoomAliases(
        database, alias_rows, cache, appender, clock, base.server_name, must_be_member, reservations
    )  # fmt: skip
    publish = PublishRoom(database, cache, rows, published, clock, rules.allow_publish)
    endpoints = endpoints_of(
        AliasEndpoints(resolve, aliases),
        NetworkDirectoryEndpoints(networks),
        RoomDirectoryEndpoints(search, publish, base.server_name, rules.public_without_auth, remote_rooms),
    )
    return DirectoryServices(alias_rows, rows, published, resolve, search, aliases.on_changed, list(endpoints))

"""What other servers tell us of their users, and ask about ours."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from config.settings import Settings
from homeserver.composition.accounts import AccountServices
from homeserver.composition.encryption import EncryptionServices
from homeserver.composition.federation import FederationServices
from homeserver.composition.foundation import Foundation
from homeserver.composition.readers import ReaderServices
from homeserver.composition.rooms import RoomServices
from homeserver.federation.client import FederationClient
from homeserver.federation.incoming.edus import EduReceivers
from homeserver.federation.users.device_list_updates import RemoteDeviceUpdates
from homeserver.federation.users.ephemeral import EphemeralReceivers
from homeserver.federation.users.own_devices import OwnDeviceLists
from homeserver.http.endpoint import Endpoint, endpoints_of
from homeserver.http.federation.public_rooms import FederatedPublicRoomEndpoints
from homeserver.http.federation.query import QueryEndpoints, Residents
from homeserver.http.federation.users import UserEndpoints
from homeserver.services.receipts.remote import RemoteReceipts
from homeserver.storage.cross_signing import CrossSigningKeys
from homeserver.storage.device_changes import DeviceChangeRows
from homeserver.storage.device_keys import DeviceKeys
from homeserver.storage.remote_devices import RemoteDevices

SECOND_MS: Final = 1_000
DAY_MS: Final = 24 * 60 * 60_000


@dataclass(frozen=True, slots=True)
class RemoteUserServices:
    """Nothing where federation is switched off."""

    endpoints: list[Endpoint] = field(default_factory=list)


def build_remote_users(
    base: Foundation,
    settings: Settings,
    federation: FederationServices,
    edus: EduReceivers,
    accounts: AccountServices,
    readers: ReaderServices,
    rooms: RoomServices,
    encryption: EncryptionServices,
) -> RemoteUserServices:
    """Receivers are registered with the intake of transactions."""
    if federation.client is None:
        return RemoteUserServices()
    ephemeral = EphemeralReceivers(
        readers.typing, RemoteReceipts(readers.receipts), readers.presence, encryption.sending
    )  # fmt: skip
    edus.register("m.typing", ephemeral.hear_typing)
    edus.register("m.receipt", ephemeral.hear_receipts)
    edus.register("m.presence", ephemeral.hear_presence)
    edus.register("m.direct_to_device", ephemeral.hear_to_device)
    updates = _device_updates(base, federation.client, encryption)
    edus.register("m.device_list_update", updates.device_list_update)
    edus.register("m.signing_key_update", updates.signing_key_update)

    devices = OwnDeviceLists(base.database, DeviceKeys(), CrossSigningKeys(), DeviceChangeRows(), base.server_name)
    is_public = settings.room_directory.public_over_federation
    endpoints = endpoints_of(
        UserEndpoints(devices, encryption.key_queries, encryption.key_claims),
        QueryEndpoints(accounts.profiles, _residents(rooms), base.server_name),
        FederatedPublicRoomEndpoints(rooms.directory.search, is_public),
    )
    return RemoteUserServices(list(endpoints))


def _device_updates(
    base: Foundation, client: FederationClient, encryption: EncryptionServices
) -> RemoteDeviceUpdates:  # fmt: skip
    updates = RemoteDeviceUpdates(
        base.database,
        RemoteDevices(),
        base.cache,
        CrossSigningKeys(),
        encryption.device_lists,
        client,
        base.clock,
        base.server_name,
    )
    base.announcer.on_events(updates.apply_events)
    base.life.every(SECOND_MS, updates.flush, "ask-again-for-devices")
    base.life.every(DAY_MS, updates.tidy, "forget-devices-of-strangers")
    base.life.on_stop(updates.stop)
    base.life.on_stop(updates.flush)
    base.life.reports_memory("remote_devices", updates.memory_usage)
    return updates


def _residents(rooms: RoomServices) -> Residents:
    async def residents(alias: str) -> tuple[str, list[str]]:
        found = await rooms.directory.resolve.alias(alias)
        return found.room_id, list(found.servers)

    return residents

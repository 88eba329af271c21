"""End-to-end encryption: keys, messages between devices, key backup, dehydrated devices."""

from __future__ import annotations

from dataclasses import dataclass, field

from homeserver.composition.accounts import AccountServices
from homeserver.composition.foundation import Foundation
from homeserver.composition.kernel import Kernel
from homeserver.http.client.cross_signing import CrossSigningEndpoints
from homeserver.http.client.dehydrated_device import DehydratedDeviceEndpoints
from homeserver.http.client.key_backup import KeyBackupKeyEndpoints, KeyBackupVersionEndpoints
from homeserver.http.client.keys import KeyEndpoints
from homeserver.http.client.send_to_device import SendToDeviceEndpoints
from homeserver.http.endpoint import Endpoint, endpoints_of
from homeserver.services.cross_signing.signatures import SignatureUploads
from homeserver.services.cross_signing.upload import CrossSigningUploads
from homeserver.services.dehydrated_devices.dehydrated_devices import Dehydration
from homeserver.services.device_lists.changes import DeviceLists
from homeserver.services.key_backup.backed_up_keys import BackedUpKeys
from homeserver.services.key_backup.versions import BackupVersions
from homeserver.services.keys.claim import KeyClaims
from homeserver.services.keys.counts import KeyCountCache
from homeserver.services.keys.query import KeyQueries
from homeserver.services.keys.remote import OtherServersKeys
from homeserver.services.keys.upload import KeyUploads
from homeserver.services.oauth.cross_signing_resets import CrossSigningResets
from homeserver.services.sync.changes import ChangesOfRooms
from homeserver.services.sync.device_list_changes import DeviceListChanges
from homeserver.services.to_device.deliver import FLUSH_INTERVAL_MS, Deliveries
from homeserver.services.to_device.letterboxes import Letterboxes
from homeserver.services.to_device.send import SendToDevice
from homeserver.storage.cross_signing import CrossSigningKeys
from homeserver.storage.dehydrated_devices import DehydratedDevices
from homeserver.storage.device_keys import DeviceKeys
from homeserver.storage.device_lists import DeviceListChanges as DeviceListRows
from homeserver.storage.devices import DeviceRows
from homeserver.storage.key_backups import KeyBackups
from homeserver.storage.one_time_keys import OneTimeKeys
from homeserver.storage.sync_rooms import SyncRooms
from homeserver.storage.to_device import ToDeviceMessages

HOUR_MS = 60 * 60 * 1000


@dataclass(frozen=True, slots=True)
class EncryptionServices:
    """What sync needs of keys: three sources."""

    to_device: Deliveries
    device_lists: DeviceLists
    key_counts: KeyCountCache
    sending: SendToDevice
    cross_signing: CrossSigningUploads
    backups: BackupVersions
    key_queries: KeyQueries
    key_claims: KeyClaims
    endpoints: list[Endpoint] = field(default_factory=list)


def build_encryption(
    base: Foundation,
    accounts: AccountServices,
    kernel: Kernel,
    others: OtherServersKeys,
    resets: CrossSigningResets,
) -> EncryptionServices:
    """Devices and accounts that end take their keys with them: the hooks are set here."""
    database, clock, server_name = base.database, base.clock, base.server_name
    device_keys, one_time_keys, cross_signing_keys = DeviceKeys(), OneTimeKeys(), CrossSigningKeys()
    device_lists = DeviceLists(database, DeviceListRows(), base.awake, base.announcer)
    to_device, sending = _build_to_device(base)
    key_counts = KeyCountCache(database, one_time_keys, base.announcer)
    uploads = KeyUploads(database, device_keys, one_time_keys, device_lists, key_counts, clock)
    cross_signing = CrossSigningUploads(database, cross_signing_keys, device_keys, device_lists, clock)
    backups = BackupVersions(database, KeyBackups())
    dehydration = Dehydration(
        database,
        DehydratedDevices(),
        DeviceRows(),
        accounts.devices,
        accounts.authenticator,
        uploads,
        key_counts,
        to_device,
        device_lists,
        clock,
    )
    queries = KeyQueries(database, device_keys, cross_signing_keys, server_name, others, device_lists)
    claims = KeyClaims(database, one_time_keys, key_counts, server_name, others)
    endpoints = endpoints_of(
        KeyEndpoints(
            uploads,
            queries,
            claims,
            _key_changes(base, kernel, device_lists),
        ),
        CrossSigningEndpoints(
            cross_signing,
            SignatureUploads(database, cross_signing_keys, device_keys, device_lists),
            accounts.ui_auth,
            resets,
        ),
        SendToDeviceEndpoints(sending),
        KeyBackupVersionEndpoints(backups),
        KeyBackupKeyEndpoints(BackedUpKeys(database, KeyBackups())),
        DehydratedDeviceEndpoints(dehydration),
    )
    services = EncryptionServices(
        to_device, device_lists, key_counts, sending, cross_signing, backups, queries, claims, list(endpoints)
    )  # fmt: skip
    _register(base, accounts, services)
    return services


def _build_to_device(base: Foundation) -> tuple[Deliveries, SendToDevice]:
    """Two ends of one thing: they share the letterboxes and the stream."""
    messages, letterboxes = ToDeviceMessages(), Letterboxes()
    deliveries = Deliveries(base.database, messages, letterboxes, base.clock)
    sending = SendToDevice(
        base.database, messages, deliveries.stream, letterboxes, base.announcer, base.clock, base.server_name
    )
    return deliveries, sending


def _key_changes(base: Foundation, kernel: Kernel, device_lists: DeviceLists) -> DeviceListChanges:
    rooms = SyncRooms()
    changes = ChangesOfRooms(base.database, rooms, kernel.writer.recent)
    return DeviceListChanges(base.database, rooms, base.awake, device_lists, changes)


def _register(base: Foundation, accounts: AccountServices, services: EncryptionServices) -> None:
    life, hooks = base.life, accounts.devices.hooks
    # Memory is cleared before anybody is woken by the change of the device list.
    for deleted in (services.to_device, services.key_counts, services.device_lists):
        hooks.deleted.append(deleted.devices_deleted)
    hooks.made.append(services.device_lists.device_made)
    hooks.renamed.append(services.device_lists.device_renamed)
    for ended in (services.cross_signing, services.backups):
        accounts.accounts.on_deactivated.append(ended.user_deactivated)
    life.on_start(services.device_lists.load)
    life.on_start(services.to_device.load)
    life.on_stop(services.to_device.flush)
    life.every(FLUSH_INTERVAL_MS, services.to_device.flush, "delete-read-letters")
    life.every(HOUR_MS, services.to_device.tidy, "tidy-letterboxes")
    life.every(HOUR_MS, services.key_counts.tidy, "tidy-one-time-keys")
    life.reports_memory("letterboxes", services.to_device.memory_usage)
    life.reports_memory("device_lists", services.device_lists.memory_usage)
    life.reports_memory("key_counts", services.key_counts.memory_usage)

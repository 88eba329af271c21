"""What this server tells others."""

from __future__ import annotations

from typing import Final

from homeserver.composition.doors import DoorServices
from homeserver.composition.encryption import EncryptionServices
from homeserver.composition.federation import FederationServices
from homeserver.composition.foreign_events import ForeignServices
from homeserver.composition.foundation import Foundation
from homeserver.composition.kernel import Kernel
from homeserver.composition.readers import ReaderServices
from homeserver.federation.sending.announcements import Announcements
from homeserver.federation.sending.device_announcements import DeviceAnnouncements
from homeserver.federation.sending.device_updates import DeviceUpdates
from homeserver.federation.sending.meetings import Meetings
from homeserver.federation.sending.sender import Sender
from homeserver.federation.sending.sticky_backlog import StickyBacklog
from homeserver.federation.sending.transactions import Transactions
from homeserver.storage.cross_signing import CrossSigningKeys
from homeserver.storage.device_changes import DeviceChangeRows
from homeserver.storage.device_keys import DeviceKeys
from homeserver.storage.outbound import OutboundRows, Progress
from homeserver.storage.sticky_events import StickyEventRows

SECOND_MS: Final = 1_000
DAY_MS: Final = 24 * 60 * 60_000


def build_sending(
    base: Foundation,
    federation: FederationServices,
    kernel: Kernel,
    foreign: ForeignServices,
    readers: ReaderServices,
    encryption: EncryptionServices,
    doors: DoorServices,
) -> Sender | None:
    """Subscribes to all that others have to hear of. None where federation is switched off."""
    if federation.client is None:
        return None
    database, name = base.database, base.server_name
    rows, changes = OutboundRows(), DeviceChangeRows()
    devices = DeviceUpdates(database, changes, DeviceKeys(), CrossSigningKeys())
    transactions = Transactions(database, rows, foreign.pdus, devices, name)
    client = federation.client
    sender = Sender(name, database, rows, changes, transactions, client, client.pauses, base.clock)
    lists = encryption.device_lists.stream
    keys = DeviceAnnouncements(sender, database, changes, devices, lists)
    sticky = StickyBacklog(name, sender, base.cache, database, StickyEventRows(), base.clock)
    meetings = Meetings(name, sender, base.cache, readers.presence.shown, base.clock)
    announcements = Announcements(
        name, sender, base.cache, base.awake, database, rows, changes, keys, lists, sticky, meetings
    )

    base.announcer.on_events(announcements.events)
    doors.forwarding.on_admitted(announcements.admitted)
    readers.typing.on_typing(announcements.typing)
    readers.receipts.on_receipt(announcements.receipt)
    readers.presence.on_shown(announcements.presence)
    encryption.device_lists.on_change(announcements.keys)
    encryption.sending.on_sent_away.append(announcements.to_device)
    client.pauses.on_reached(sender.reached)

    async def load() -> None:
        newest = Progress(kernel.writer.position.current, await changes.newest(database), lists.current)
        await announcements.start(await sender.load(newest))

    base.life.on_start(load)
    base.life.on_started(sender.begin)
    base.life.every(SECOND_MS, announcements.look_again, "look-for-what-others-lack")
    base.life.every(SECOND_MS, sender.store, "store-destinations")
    base.life.every(SECOND_MS, sender.retry_due, "try-servers-again")
    base.life.every(DAY_MS, sender.tidy, "forget-undeliverable-messages")
    base.life.on_stop(sender.stop)
    base.life.on_stop(announcements.stop)
    base.life.reports_memory("sending", sender.memory_usage)
    base.life.reports_memory("announcements", announcements.memory_usage)
    base.life.reports_memory("meetings", meetings.memory_usage)
    return sender

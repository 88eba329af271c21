"""Pushers: who is notified where, by push gateways."""

from __future__ import annotations

from dataclasses import dataclass, field

from config.settings import Settings
from homeserver.composition.accounts import AccountServices
from homeserver.composition.foundation import Foundation
from homeserver.composition.kernel import Kernel
from homeserver.composition.push_mail import build_push_mail
from homeserver.composition.readers import ReaderServices
from homeserver.federation.addresses import AddressGuard
from homeserver.federation.connections import Connections
from homeserver.federation.dns import Dns, SystemDns
from homeserver.federation.push_gateways import GuardedGateways
from homeserver.http.client.pushers import NotificationEndpoints, PusherEndpoints
from homeserver.http.endpoint import Endpoint, endpoints_of
from homeserver.protocol.signing import SigningKey
from homeserver.services.account_data.device_settings import DeviceSettings
from homeserver.services.mail.letters import Letters
from homeserver.services.push import badges as badge_times
from homeserver.services.push.badges import Badges
from homeserver.services.push.delivery import PushDelivery
from homeserver.services.push.feed import PushFeed
from homeserver.services.push.notifications import Notifications
from homeserver.services.push.past_actions import INTERVAL_MS as FORGET_INTERVAL_MS
from homeserver.services.push.past_actions import PastActions
from homeserver.services.push.progress import STORE_INTERVAL_MS, PushProgress
from homeserver.services.push.pushers import Pushers
from homeserver.services.push.reader_rooms import FindNotifyingRooms, FindReaderRooms
from homeserver.services.push.registry import PusherRegistry
from homeserver.services.push.targets import Targets
from homeserver.services.push.telling import Telling
from homeserver.services.unread.totals import UnreadTotals
from homeserver.services.visibility import Visibility
from homeserver.storage.account_data import AccountDataRows
from homeserver.storage.missed_pushes import MissedPushRows
from homeserver.storage.notifications import NotificationRows
from homeserver.storage.pushers import PusherRows
from homeserver.storage.stripped_states import StrippedStates

SECOND_MS = 1_000


@dataclass(frozen=True, slots=True)
class PushServices:
    """`feed`, `delivery` and `past`: what tests look at."""

    pushers: Pushers
    feed: PushFeed
    delivery: PushDelivery
    past: PastActions
    endpoints: list[Endpoint] = field(default_factory=list)


def build_push(
    base: Foundation,
    settings: Settings,
    accounts: AccountServices,
    readers: ReaderServices,
    kernel: Kernel,
    visibility: Visibility,
    dns: Dns | None,
    letters: Letters | None,
    signing_key: SigningKey,
    public_baseurl: str,
) -> PushServices:
    """Listeners do next to nothing while nobody has a pusher."""
    outgoing, rows = settings.outgoing_http, PusherRows()
    guard = AddressGuard(outgoing.ip_denylist)
    connections = Connections(dns or SystemDns(), guard, verify_tls=outgoing.verify_tls)
    registry = PusherRegistry(base.database, rows)
    # Who does not check certificates tests, and may do so without any.
    pushers = Pushers(
        base.database, rows, registry, base.clock, lambda: kernel.writer.position.current,
        allow_http=not outgoing.verify_tls,
    )  # fmt: skip
    totals = UnreadTotals(readers.unread, base.awake, readers.ignored, readers.invite_filters)
    delivery = PushDelivery(pushers, GuardedGateways(connections), totals, base.events, base.clock)
    badges = Badges(registry, totals, delivery)
    targets = Targets(
        registry,
        readers.push_rules.rulesets,
        readers.ignored,
        readers.invite_filters,
        accounts.standings,
        readers.thread_readers,
    )
    feed = PushFeed(
        base.database, StrippedStates(), registry, base.cache, targets, Telling(readers.unread.threads), totals,
        delivery, badges, base.clock,
    )  # fmt: skip
    progress = PushProgress(base.database, rows, MissedPushRows(), feed)
    _listen(base, accounts, readers, pushers, feed, badges, delivery)
    _run(base, kernel, connections, registry, feed, delivery, badges, progress)
    notifications = _build_notifications(base, readers, kernel, visibility)
    endpoints = endpoints_of(PusherEndpoints(pushers), NotificationEndpoints(notifications))
    past = notifications.past
    mail = build_push_mail(base, accounts, readers, pushers, past, letters, signing_key, public_baseurl)
    return PushServices(pushers, feed, delivery, past, [*endpoints, *mail])


def _build_notifications(
    base: Foundation, readers: ReaderServices, kernel: Kernel, visibility: Visibility
) -> Notifications:
    database, rows, unread = base.database, NotificationRows(), readers.unread
    past = PastActions(database, rows, base.clock, lambda: kernel.writer.position.current)
    base.life.on_start(past.load)
    base.life.every(FORGET_INTERVAL_MS, past.forget, "forget-push-actions")
    notifying = FindNotifyingRooms(base.awake, readers.invite_filters)
    rooms = FindReaderRooms(notifying, unread.counter.loudness, readers.ignored)
    return Notifications(
        database, rows, rooms, unread.counter.loudness, unread.rulesets, unread.own_reads, visibility, past, base.clock
    )


def _listen(
    base: Foundation,
    accounts: AccountServices,
    readers: ReaderServices,
    pushers: Pushers,
    feed: PushFeed,
    badges: Badges,
    delivery: PushDelivery,
) -> None:
    base.announcer.on_events(feed.events)
    base.announcer.on_outside(feed.outside)
    readers.unread.on_read.append(badges.read)
    pushers.registry.on_gone.append(delivery.forget)
    pushers.registry.on_set.append(delivery.renewed)
    accounts.devices.hooks.deleted.append(pushers.devices_deleted)
    settings_of_devices = DeviceSettings(base.database, AccountDataRows(), readers.account_data_stream)
    accounts.devices.hooks.deleted.append(settings_of_devices.devices_deleted)
    accounts.accounts.on_deactivated.append(pushers.user_deactivated)
    accounts.standings.on_locked.append(delivery.user_locked)


def _run(
    base: Foundation,
    kernel: Kernel,
    connections: Connections,
    registry: PusherRegistry,
    feed: PushFeed,
    delivery: PushDelivery,
    badges: Badges,
    progress: PushProgress,
) -> None:
    async def load() -> None:
        await registry.load()
        await progress.load(kernel.writer.position.current)

    async def begin() -> None:
        await delivery.begin()
        await feed.begin(progress.catch_up)

    base.life.on_start(load)
    base.life.on_started(begin)
    base.life.every(SECOND_MS, delivery.retry_due, "try-push-gateways-again")
    base.life.every(badge_times.INTERVAL_MS, badges.tell, "push-badges")
    base.life.every(STORE_INTERVAL_MS, progress.store, "store-push-progress")
    base.life.on_stop(connections.close)
    base.life.on_stop(progress.store)
    base.life.on_stop(delivery.stop)
    base.life.on_stop(feed.stop)
    base.life.reports_memory("pushers", registry.memory_usage)
    base.life.reports_memory("push_feed", lambda: {"events": feed.waiting, "lost": feed.lost})
    base.life.reports_memory("push_delivery", delivery.memory_usage)
    base.life.reports_memory("push_badges", badges.memory_usage)

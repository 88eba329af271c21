"""Application services: who is registered, what they are told, what they are asked."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field

from config.settings import Settings
from homeserver.composition.accounts import AccountServices
from homeserver.composition.encryption import EncryptionServices
from homeserver.composition.foundation import Foundation
from homeserver.composition.kernel import Kernel
from homeserver.composition.readers import ReaderServices
from homeserver.composition.rooms import RoomServices
from homeserver.http.client.appservices import AppserviceEndpoints, ThirdPartyEndpoints
from homeserver.http.endpoint import Endpoint, endpoints_of
from homeserver.services.appservices.asking import AskAppservices
from homeserver.services.appservices.client import AppserviceClient
from homeserver.services.appservices.composing import Composing
from homeserver.services.appservices.delivery import STORE_INTERVAL_MS, Delivery
from homeserver.services.appservices.feed import Feed
from homeserver.services.appservices.interests import Interests
from homeserver.services.appservices.news import News
from homeserver.services.appservices.queue import Queue
from homeserver.services.appservices.registry import Appservices
from homeserver.storage.appservices import AppserviceRows, Progress
from homeserver.storage.users import Users

SECOND_MS = 1_000
log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class AppserviceServices:
    """Everything else is behind listeners."""

    endpoints: list[Endpoint] = field(default_factory=list)


def build_appservices(
    base: Foundation,
    settings: Settings,
    accounts: AccountServices,
    readers: ReaderServices,
    kernel: Kernel,
    rooms: RoomServices,
    encryption: EncryptionServices,
) -> AppserviceServices:
    """Where none is registered, nothing is subscribed to and nothing is run."""
    appservices = accounts.appservices
    client = AppserviceClient(settings.outgoing_http.verify_tls)
    ask = AskAppservices(appservices, client, base.database, Users(), base.clock)
    if appservices:
        rooms.directory.resolve.makers.append(ask.make_alias)
        rooms.memberships.invitable.makers.append(ask.make_users)
        _tell(base, appservices, client, accounts, readers, kernel, rooms, encryption)
        base.life.on_start(accounts.bridged.make_senders)
        base.life.reports_memory("appservices", appservices.memory_usage)
        base.life.reports_memory("appservice_roles", accounts.masquerades.memory_usage)
        base.life.reports_memory("appservice_protocols", ask.memory_usage)
        base.life.on_stop(client.close)
    return AppserviceServices(list(endpoints_of(AppserviceEndpoints(appservices, ask), ThirdPartyEndpoints(ask))))


def _tell(
    base: Foundation,
    appservices: Appservices,
    client: AppserviceClient,
    accounts: AccountServices,
    readers: ReaderServices,
    kernel: Kernel,
    rooms: RoomServices,
    encryption: EncryptionServices,
) -> None:
    database, rows, lists = base.database, AppserviceRows(), encryption.device_lists.stream
    queues = {each: Queue(each, Progress(0, 0)) for each in appservices.all if each.url is not None}
    interests = Interests(appservices, base.cache, database, rows, base.server_name)
    composing = Composing(
        database, rows, interests, encryption.to_device.letterboxes, base.clock,
        passed=lambda: feed.passed, lists_passed=lambda: lists.current,
    )  # fmt: skip
    delivery = Delivery(queues, composing, client, database, rows, base.clock)
    feed = Feed(interests, queues, delivery.start)
    news = News(appservices, interests, queues, delivery.start, database, rows, readers.typing.users)
    _listen(base, feed, news, interests, readers, rooms, encryption)
    accounts.masquerades.on_seen.append(delivery.seen)

    async def load() -> None:
        newest = Progress(kernel.writer.position.current, lists.current)
        await feed.begin(newest.events)
        await delivery.load(newest)
        await news.begin()
        names = ", ".join(f"{each.id} ({each.url or 'told nothing'})" for each in appservices.all)
        log.info("application services: %s", names)

    base.life.on_start(load)
    base.life.on_started(delivery.begin)
    base.life.every(SECOND_MS, delivery.retry_due, "try-appservices-again")
    base.life.every(STORE_INTERVAL_MS, delivery.store, "store-appservices")
    base.life.on_stop(delivery.stop)
    base.life.on_stop(news.stop)
    base.life.on_stop(feed.stop)
    base.life.reports_memory("appservice_rooms", interests.memory_usage)
    base.life.reports_memory("appservice_feed", lambda: {"events": feed.waiting, "other": news.waiting})
    for queue in queues.values():
        base.life.reports_memory(f"appservice {queue.appservice.id}", queue.memory_usage)


def _listen(
    base: Foundation,
    feed: Feed,
    news: News,
    interests: Interests,
    readers: ReaderServices,
    rooms: RoomServices,
    encryption: EncryptionServices,
) -> None:
    base.announcer.on_resolved(interests.apply_resolved)
    base.announcer.on_events(feed.events)
    rooms.directory.on_aliases_changed.append(interests.forget)
    if any(queue.appservice.receive_ephemeral for queue in feed.queues.values()):
        readers.typing.on_typing(news.typing)
        readers.receipts.on_any.append(news.receipt)
        readers.presence.on_shown(news.presence)
    if any(queue.appservice.encrypts for queue in feed.queues.values()):
        encryption.device_lists.on_change(news.keys)
        encryption.key_counts.on_changed.append(news.counts)
        encryption.sending.on_delivered.append(news.letters)

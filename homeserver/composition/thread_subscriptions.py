"""Threads that users want to hear of."""

from __future__ import annotations

from dataclasses import dataclass, field

from homeserver.composition.foundation import Foundation
from homeserver.composition.kernel import Kernel
from homeserver.composition.readers import ReaderServices
from homeserver.composition.reading import ReadingServices
from homeserver.http.client.thread_subscriptions import ThreadSubscriptionEndpoints
from homeserver.http.endpoint import Endpoint, endpoints_of
from homeserver.services.thread_subscriptions.changes import SubscriptionExtension, SubscriptionPages
from homeserver.services.thread_subscriptions.subscriptions import ThreadSubscriptions
from homeserver.services.timeline.open_room import RoomOpener
from homeserver.services.timeline.single_event import EventFinder


@dataclass(frozen=True, slots=True)
class ThreadSubscriptionServices:
    """`extension`: what sliding sync tells of subscriptions."""

    extension: SubscriptionExtension
    endpoints: list[Endpoint] = field(default_factory=list)


def build_thread_subscriptions(
    base: Foundation, kernel: Kernel, readers: ReaderServices, reading: ReadingServices
) -> ThreadSubscriptionServices:
    """`readers` has the index, which push rules ask too."""
    database, index, stream = base.database, readers.thread_subscriptions, readers.account_data_stream
    subscriptions = ThreadSubscriptions(
        queries=database,
        rows=index.rows,
        index=index,
        stream=stream,
        events=kernel.writer.position,
        opener=RoomOpener(base.cache, reading.visibility),
        finder=EventFinder(database, base.events),
        visibility=reading.visibility,
    )
    pages = SubscriptionPages(database, index.rows, stream.position)
    extension = SubscriptionExtension(database, index.rows, index)
    return ThreadSubscriptionServices(extension, list(endpoints_of(ThreadSubscriptionEndpoints(subscriptions, pages))))

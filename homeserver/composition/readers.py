"""What belongs to readers: receipts, read markers, typing, account data, tags, presence, push rules, unread counts."""

from __future__ import annotations

from dataclasses import dataclass, field

from homeserver.composition.foundation import Foundation
from homeserver.http.endpoint import Endpoint
from homeserver.protocol.events import Event
from homeserver.services.rooms.event_writer import Notification, NotificationRules
from homeserver.services.rooms.live_room import LiveRoom


@dataclass(frozen=True, slots=True)
class ReaderServices:
    """Streams that sync reads, and the rules that the event writer asks."""

    rules: NotificationRules
    endpoints: list[Endpoint] = field(default_factory=list)


class _Nobody:
    async def evaluate(self, room: LiveRoom, event: Event) -> Notification:
        return Notification()


def build_readers(base: Foundation) -> ReaderServices:
    """Built before the kernel, which asks `rules` about every event."""
    return ReaderServices(_Nobody())

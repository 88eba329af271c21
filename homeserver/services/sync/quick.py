"""The short way for what nearly every wake-up is: a few new messages in joined rooms, or somebody types, and nothing else.

It gives the same answer as `answer.py`, byte for byte but for the order of keys, or none at all where anything is not
plain. With hundreds of readers in one room this is what a message costs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import orjson

from homeserver.protocol.filters import Filter
from homeserver.services.clock import Clock
from homeserver.services.rooms.timeline_event import RESOLVES, TimelineEvent
from homeserver.services.sync.encode import Encoder
from homeserver.services.sync.lazy_members import DeviceKey, LazyMembers
from homeserver.services.sync.request import SyncRequest
from homeserver.services.sync.rooms_answer import NOTHING_UNREAD, unread_json
from homeserver.services.sync.sources import KeyCounts, TypingSource, UnreadCounts, UnreadSource, VoiceSource
from homeserver.services.tokens import StreamToken
from homeserver.storage.memberships import Membership
from homeserver.storage.recent import RecentChanges

MAX_RECENT = 64
# Membership changes who shares rooms, name and alias change summaries, and redactions change other events.
NOT_PLAIN = frozenset(("m.room.member", "m.room.name", "m.room.canonical_alias", "m.room.redaction"))

# What `rooms_answer.py` says of a room with nothing but new events.
NOTHING_ELSE = b'"state":{"events":[]},"account_data":{"events":[]},"ephemeral":{"events":[]},'

# And of one in which somebody has begun or stopped typing.
SILENT_ROOM = (
    b'%b:{"timeline":{"events":[],"limited":false,"prev_batch":"t%d"},"state":{"events":[]},'
    b'"account_data":{"events":[]},"ephemeral":{"events":[{"type":"m.typing","content":%b}]},%b'
)

NewEvents = Mapping[str, Sequence[TimelineEvent]]
TypingUsers = Mapping[str, Sequence[str]]
"""By room."""


@dataclass(frozen=True, slots=True)
class QuickAnswers:
    """Two steps: what is new (nothing is awaited), and the answer that tells it."""

    recent: RecentChanges[TimelineEvent]
    unread: UnreadSource
    voice: VoiceSource
    typing: TypingSource
    lazy: LazyMembers
    clock: Clock

    def plain_news(
        self,
        request: SyncRequest,
        since: StreamToken,
        now: StreamToken,
        rooms: Mapping[str, Membership],
        ignored: frozenset[str],
    ) -> NewEvents | None:
        """New events by room; None where this is not a plain case."""
        if not _only_events_moved(since, now) or not _takes_everything(request):
            return None
        # Somebody talks somewhere nearly always: what is said elsewhere is no reason for the long way.
        if since.voice != now.voice and self.voice.concerns(rooms.keys(), since.voice, now.voice):
            return None
        recent = self.recent.since(since.events, now.events)
        if recent is None or len(recent) > MAX_RECENT:
            return None
        news: dict[str, list[TimelineEvent]] = {}
        for event in recent:
            entry = rooms.get(event.room_id)
            if entry is None:
                continue
            if event.type in NOT_PLAIN or event.sender in ignored or event.flags & RESOLVES:
                return None
            if entry.membership == "join":
                news.setdefault(event.room_id, []).append(event)
        return news if news and self._fits(request, since, news) else None

    def plain_typing(
        self, request: SyncRequest, since: StreamToken, now: StreamToken, rooms: Mapping[str, Membership]
    ) -> TypingUsers | None:
        """Who types in rooms where that changed; None where there are none, or this is not a plain case."""
        if replace(since, typing=now.typing) != now or not request.filter.room.ephemeral.is_open:
            return None
        if not _takes_everything(request):
            return None
        changed = self.typing.changed_rooms(since.typing, now.typing)
        joined = [each for each in changed if each in rooms and rooms[each].membership == "join"]
        return {room_id: self.typing.users(room_id) for room_id in joined} or None

    async def tell_typing(
        self, request: SyncRequest, now: StreamToken, typing: TypingUsers, counts: KeyCounts | None
    ) -> bytes:
        """The whole answer."""
        unread = await self.unread.counts(request.user_id, typing.keys())
        rooms = [
            SILENT_ROOM
            % (
                orjson.dumps(room_id),
                now.events,
                orjson.dumps({"user_ids": list(users)}),
                self._unread_json(request, unread.get(room_id, NOTHING_UNREAD)),
            )
            for room_id, users in typing.items()
        ]
        return _whole(rooms, now, counts)

    def _unread_json(self, request: SyncRequest, unread: UnreadCounts) -> bytes:
        by_thread = request.filter.room.timeline.unread_thread_notifications
        return orjson.dumps(unread_json(unread, by_thread=by_thread))[1:]

    def _fits(self, request: SyncRequest, since: StreamToken, news: NewEvents) -> bool:
        """Whether no timeline is limited, and every sender is known to a client that loads members lazily."""
        if any(len(events) > request.timeline_limit for events in news.values()):
            return False
        state = request.filter.room.state
        if not state.lazy_load_members:
            return True
        device = (request.user_id, request.requester.device_id or "")
        return not state.include_redundant_members and all(
            self._knows(device, room_id, events, since) for room_id, events in news.items()
        )

    def _knows(
        self, device: DeviceKey, room_id: str, events: Sequence[TimelineEvent], since: StreamToken
    ) -> bool:  # fmt: skip
        return not self.lazy.unknown(device, room_id, {event.sender for event in events}, since.events)

    async def tell(
        self, request: SyncRequest, since: StreamToken, now: StreamToken, news: NewEvents, counts: KeyCounts | None
    ) -> bytes:
        """The whole answer."""
        unread = await self.unread.counts(request.user_id, news.keys())
        encoder = Encoder(request.requester, self.clock.now_ms())
        rooms = [
            b'%b:{"timeline":{"events":[%b],"limited":false,"prev_batch":"t%d"},%b%b'
            % (
                orjson.dumps(room_id),
                b",".join([encoder.event(event, "join") for event in events]),
                since.events,
                NOTHING_ELSE,
                self._unread_json(request, unread.get(room_id, NOTHING_UNREAD)),
            )
            for room_id, events in news.items()
        ]
        return _whole(rooms, now, counts)


def _whole(rooms: Sequence[bytes], now: StreamToken, counts: KeyCounts | None) -> bytes:
    return b'{"rooms":{"join":{%b}},%b"next_batch":"%b"}' % (
        b",".join(rooms),
        _key_counts_json(counts),
        now.format().encode(),
    )


def _only_events_moved(since: StreamToken, now: StreamToken) -> bool:
    return (
        since.events < now.events
        and since.receipts == now.receipts
        and since.typing == now.typing
        and since.presence == now.presence
        and since.account_data == now.account_data
        and since.to_device == now.to_device
        and since.device_lists == now.device_lists
    )


def _takes_everything(request: SyncRequest) -> bool:
    wanted: Filter = request.filter
    timeline = wanted.room.timeline
    return (
        not request.full_state
        and not request.state_after
        and wanted.event_fields is None
        and wanted.event_format == "client"
        and wanted.room.rooms.is_open
        and timeline.is_open
        and not timeline.asks_for_relations
    )


def _key_counts_json(counts: KeyCounts | None) -> bytes:
    if counts is None:
        return b""
    return b'"device_one_time_keys_count":%b,"device_unused_fallback_key_types":%b,' % (
        orjson.dumps(counts.one_time_keys),
        orjson.dumps(counts.unused_fallback_types),
    )

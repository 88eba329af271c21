"""GET /events with `room_id`: the news of one room, for whoever may read it ("Room Previews")."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import orjson

from homeserver.protocol.filters import RoomEventFilter
from homeserver.services.presence.old_form import in_old_form
from homeserver.services.requester import Requester
from homeserver.services.rooms.live_room import LiveRoom
from homeserver.services.rooms.stored import to_timeline_event
from homeserver.services.rooms.timeline_event import TimelineEvent
from homeserver.services.sight import Sight
from homeserver.services.sync.ephemeral import Ephemeral
from homeserver.services.sync.legacy_events import EventChunk
from homeserver.services.sync.polls import Polls
from homeserver.services.sync.request import MAX_TIMELINE_EVENTS
from homeserver.services.sync.streams import Streams, clamped
from homeserver.services.timeline.open_room import OpenRoom, RoomOpener
from homeserver.services.timeline.presentation import Presenter
from homeserver.services.tokens import StreamToken, parse_timeline_token
from homeserver.services.visibility import Visibility
from homeserver.storage.events import Events

if TYPE_CHECKING:
    from homeserver.storage.database import Queries

EVERY_EVENT = RoomEventFilter()


@dataclass(slots=True)
class RoomWaiters:
    """Who waits for news of a room without being in it. Subscribed to the announcer."""

    _waiting: dict[str, set[asyncio.Future[None]]] = field(default_factory=dict)

    def apply_events(self, events: Sequence[TimelineEvent]) -> None:
        """Wake those who wait for these events' rooms."""
        for event in events:
            self.wake(event.room_id)

    def wake(self, room_id: str) -> None:
        """There is something new in the room."""
        if self._waiting:
            for waiter in self._waiting.pop(room_id, ()):
                if not waiter.done():
                    waiter.set_result(None)

    def waiter(self, room_id: str) -> asyncio.Future[None]:
        """Done at the room's next news."""
        waiter = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(room_id, set()).add(waiter)
        return waiter

    def forget(self, room_id: str, waiter: asyncio.Future[None]) -> None:
        """Give a waiter back."""
        waiters = self._waiting.get(room_id)
        if waiters is not None:
            waiters.discard(waiter)
            if not waiters:
                del self._waiting[room_id]

    def memory_usage(self) -> dict[str, int]:
        """Counts for the memory report."""
        return {"rooms": len(self._waiting)}


@dataclass(frozen=True, slots=True)
class RoomPreview:
    """One verb."""

    queries: Queries
    streams: Streams
    polls: Polls
    events: Events
    opener: RoomOpener
    visibility: Visibility
    presenter: Presenter
    ephemeral: Ephemeral
    waiters: RoomWaiters

    async def __call__(self, requester: Requester, room_id: str, start: str | None, timeout_ms: int) -> EventChunk:
        """New events of the room that the reader may see, member or not. Raises Forbidden, InvalidParam."""
        now = self.streams.now()
        since = now if start is None else _parse(start, now)
        with self.polls.waiting((requester.user_id, requester.device_id or ""), timeout_ms) as poll:
            while True:
                poll.waiter = self.waiters.waiter(room_id)
                try:
                    found, end = await self._news(requester, room_id, since)
                    if found or poll.over or not timeout_ms:
                        return EventChunk(found, start or since.format(), end.format())
                    await poll.waiter
                finally:
                    self.waiters.forget(room_id, poll.waiter)

    async def _news(
        self, requester: Requester, room_id: str, since: StreamToken
    ) -> tuple[list[Any], StreamToken]:  # fmt: skip
        """What the reader may see, and up to where it was looked for."""
        now = self.streams.now()
        opened = await self.opener.open(room_id, requester.user_id)
        events = await self._events_after(opened.room, since.events, now.events)
        seen = await self.visibility.see(opened.room, requester.user_id, events, opened.perspective)
        news: list[Any] = [orjson.Fragment(event) for event in await self.presenter.show(requester, room_id, seen)]
        if opened.access.joined or opened.access.world_readable:
            news += await self._of_members(requester, opened, since, now)
        return news, replace(now, events=events[-1].position) if len(events) == MAX_TIMELINE_EVENTS else now

    async def _events_after(self, room: LiveRoom, after: int, now: int) -> list[TimelineEvent]:
        recent = room.recent_since(after)
        if recent is None:
            rows = await self.events.forwards(
                self.queries, room.room_nid, after=after, up_to=now, limit=MAX_TIMELINE_EVENTS
            )
            recent = [to_timeline_event(row, room.room_id) for row in rows]
        return [event for event in recent if event.position <= now][:MAX_TIMELINE_EVENTS]

    async def _of_members(
        self, requester: Requester, opened: OpenRoom, since: StreamToken, now: StreamToken
    ) -> list[dict[str, Any]]:
        """What those in the room do: presence, receipts, typing. Who has left the room gets none of it."""
        room = opened.room
        present = await self.streams.presence.changed_among(room.joined, since.presence, now.presence)
        changed = await self.ephemeral.changed(requester.user_id, Sight((room.room_id,)), since, now, EVERY_EVENT)
        ephemeral = changed.by_room.get(room.room_id, ())
        return [*in_old_form(present), *({**event, "room_id": room.room_id} for event in ephemeral)]


def _parse(text: str, now: StreamToken) -> StreamToken:
    """A place in all streams, or one in the timeline alone. Raises InvalidParam."""
    if text.startswith("s"):
        return clamped(StreamToken.parse(text), now)
    return replace(now, events=min(now.events, parse_timeline_token(text)))

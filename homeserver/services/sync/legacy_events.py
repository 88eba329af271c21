"""GET /events: the event stream of before /sync, made from it; with `room_id` a room that is only looked at.

"Deprecated in r0"; clients still preview world-readable rooms this way ("Room Previews").
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import orjson

from homeserver.protocol.filters import Filter, parse_filter
from homeserver.services.requester import Requester
from homeserver.services.rooms.live_room import LiveRoom
from homeserver.services.rooms.rendering import render_event
from homeserver.services.rooms.stored import to_timeline_event
from homeserver.services.rooms.timeline_event import TimelineEvent
from homeserver.services.sync.engine import Sync
from homeserver.services.sync.request import MAX_TIMELINE_EVENTS, SyncRequest
from homeserver.services.timeline.open_room import RoomOpener
from homeserver.services.timeline.presentation import Presenter
from homeserver.services.tokens import StreamToken, format_timeline_token, parse_timeline_token
from homeserver.services.visibility import Visibility
from homeserver.storage.events import Events

if TYPE_CHECKING:
    from homeserver.storage.database import Queries

NOTHING: dict[str, Any] = {"types": []}
ROOM_EVENTS: Filter = parse_filter(
    {
        "presence": NOTHING,
        "account_data": NOTHING,
        "room": {
            "timeline": {"limit": MAX_TIMELINE_EVENTS},
            "state": NOTHING,
            "ephemeral": NOTHING,
            "account_data": NOTHING,
        },
    }
)


@dataclass(slots=True)
class RoomWaiters:
    """Who waits for news of a room without being in it. Subscribed to the announcer."""

    _waiting: dict[str, set[asyncio.Future[None]]] = field(default_factory=dict)

    def apply_events(self, events: Sequence[TimelineEvent]) -> None:
        """Wake those who wait for these events' rooms."""
        if self._waiting:
            for event in events:
                for waiter in self._waiting.pop(event.room_id, ()):
                    if not waiter.done():
                        waiter.set_result(None)

    def waiter(self, room_id: str) -> asyncio.Future[None]:
        """Done at the room's next event."""
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
class EventChunk:
    """Events in JSON (or decoded), and the tokens of its start and end."""

    chunk: list[Any]
    start: str
    end: str


@dataclass(frozen=True, slots=True)
class EventStream:
    """Two verbs."""

    queries: Queries
    sync: Sync
    events: Events
    opener: RoomOpener
    visibility: Visibility
    presenter: Presenter
    waiters: RoomWaiters

    async def everywhere(self, requester: Requester, start: str | None, timeout_ms: int) -> EventChunk:
        """New events of the reader's rooms, invites included. Raises InvalidParam."""
        since = self.sync.streams.now() if start is None else StreamToken.parse(start)
        # Without the device: this stream has no place for its letters, so it must not take them for read.
        reader = replace(requester, device_id=None)
        request = SyncRequest(reader, ROOM_EVENTS, since=since, timeout_ms=timeout_ms)
        body = orjson.loads(await self.sync(request))
        rooms: dict[str, Any] = body.get("rooms", {})
        chunk: list[Any] = [
            {**event, "room_id": room_id}
            for kind in ("join", "leave")
            for room_id, room in rooms.get(kind, {}).items()
            for event in room["timeline"]["events"]
        ]
        chunk += await self._invites(requester, rooms.get("invite", {}))
        return EventChunk(chunk, start or since.format(), body["next_batch"])

    async def _invites(self, requester: Requester, room_ids: Collection[str]) -> list[orjson.Fragment]:
        """The membership events themselves, which /sync shows stripped only."""
        if not room_ids:
            return []
        memberships = await self.sync.awake.memberships(requester.user_id)
        ids = {memberships[room_id].event_nid: room_id for room_id in room_ids}
        now_ms = self.presenter.clock.now_ms()
        found = [to_timeline_event(row, ids[row[0]]) for row in await self.events.by_nids(self.queries, list(ids))]
        return [
            orjson.Fragment(
                render_event(event, reader=requester, now_ms=now_ms, room_id=event.room_id, membership="invite")
            )
            for event in found
        ]

    async def of_room(self, requester: Requester, room_id: str, start: str | None, timeout_ms: int) -> EventChunk:
        """New events of one room that the reader may read, member or not. Raises Forbidden, InvalidParam."""
        now = self.sync.streams.events.current
        after = min(now, now if start is None else parse_timeline_token(start))
        with self.sync.polls.waiting((requester.user_id, requester.device_id or ""), timeout_ms) as poll:
            while True:
                poll.waiter = self.waiters.waiter(room_id)
                try:
                    found, end = await self._new_events(requester, room_id, after)
                    if found or poll.over or not timeout_ms:
                        return EventChunk(found, start or format_timeline_token(after), format_timeline_token(end))
                    await poll.waiter
                finally:
                    self.waiters.forget(room_id, poll.waiter)

    async def _new_events(
        self, requester: Requester, room_id: str, after: int
    ) -> tuple[list[orjson.Fragment], int]:  # fmt: skip
        """Events that the reader may see, and up to where they were looked for."""
        now = self.sync.streams.events.current
        opened = await self.opener.open(room_id, requester.user_id)
        events = await self._events_after(opened.room, after, now)
        end = events[-1].position if len(events) == MAX_TIMELINE_EVENTS else now
        seen = await self.visibility.see(opened.room, requester.user_id, events, opened.perspective)
        shown = await self.presenter.show(requester, room_id, seen)
        return [orjson.Fragment(event) for event in shown], end

    async def _events_after(self, room: LiveRoom, after: int, now: int) -> list[TimelineEvent]:
        recent = room.recent_since(after)
        if recent is None:
            rows = await self.events.forwards(
                self.queries, room.room_nid, after=after, up_to=now, limit=MAX_TIMELINE_EVENTS
            )
            recent = [to_timeline_event(row, room.room_id) for row in rows]
        return [event for event in recent if event.position <= now][:MAX_TIMELINE_EVENTS]

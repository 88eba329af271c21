"""GET /events: the event stream of before /sync, made from it. "Deprecated in r0".

All kinds of events are in one list; those of rooms that are no room events have a `room_id` too ("Client Config").
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import orjson

from homeserver.protocol.filters import Filter, parse_filter
from homeserver.services.presence.old_form import in_old_form
from homeserver.services.requester import Requester
from homeserver.services.rooms.rendering import render_event
from homeserver.services.rooms.stored import to_timeline_event
from homeserver.services.sync.engine import Sync
from homeserver.services.sync.reader import note_presence
from homeserver.services.sync.request import MAX_TIMELINE_EVENTS, SyncRequest
from homeserver.services.timeline.presentation import Presenter
from homeserver.services.tokens import StreamToken
from homeserver.storage.events import Events

if TYPE_CHECKING:
    from homeserver.storage.database import Queries

NOTHING: dict[str, Any] = {"types": []}
EVERYTHING_BUT_STATE: Filter = parse_filter({"room": {"timeline": {"limit": MAX_TIMELINE_EVENTS}, "state": NOTHING}})


@dataclass(frozen=True, slots=True)
class EventChunk:
    """Events in JSON (or decoded), and the tokens of its start and end."""

    chunk: list[Any]
    start: str
    end: str


@dataclass(frozen=True, slots=True)
class EventStream:
    """One verb."""

    queries: Queries
    sync: Sync
    events: Events
    presenter: Presenter

    async def __call__(self, requester: Requester, start: str | None, timeout_ms: int) -> EventChunk:
        """New events of the reader's rooms, invites included, and whatever else is new for him. Raises InvalidParam."""
        await note_presence(self.sync.streams, requester, "online")
        since = self.sync.streams.now() if start is None else StreamToken.parse(start)
        # Without the device: this stream has no place for its letters, so it must not take them for read.
        reader = replace(requester, device_id=None)
        request = SyncRequest(reader, EVERYTHING_BUT_STATE, since=since, timeout_ms=timeout_ms)
        body = orjson.loads(await self.sync(request))
        rooms: dict[str, Any] = body.get("rooms", {})
        chunk: list[Any] = [
            *_events_of_rooms(rooms),
            *await self._invites(requester, rooms.get("invite", {})),
            *in_old_form(body.get("presence", {}).get("events", ())),
            *body.get("account_data", {}).get("events", ()),
        ]
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


def _events_of_rooms(rooms: Mapping[str, Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
    for kind in ("join", "leave"):
        for room_id, room in rooms.get(kind, {}).items():
            for section in ("timeline", "ephemeral", "account_data"):
                for event in room.get(section, {}).get("events", ()):
                    yield {**event, "room_id": room_id}

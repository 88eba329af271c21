"""Rooms read by administrators who are not in them. Every look at what people wrote is recorded."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from homeserver.protocol.client_event import join
from homeserver.protocol.errors import NotFound
from homeserver.protocol.filters import RoomEventFilter
from homeserver.protocol.room_versions import ROOM_VERSIONS
from homeserver.services.administration.rooms import NO_SUCH_ROOM
from homeserver.services.audit.audit_log import AuditLog
from homeserver.services.requester import Requester
from homeserver.services.rooms.live_room import LiveRoom
from homeserver.services.rooms.room_cache import RoomCache
from homeserver.services.rooms.timeline_event import TimelineEvent
from homeserver.services.spaces.hierarchy import HierarchyPage, HierarchyQuery, ReadHierarchy
from homeserver.services.text_limits import is_storable
from homeserver.services.timeline.context import EventContext, ReadContext
from homeserver.services.timeline.event_at_time import FindEventAtTime
from homeserver.services.timeline.messages import MessagesPage, MessagesQuery, ReadMessages
from homeserver.services.timeline.presentation import Presenter
from homeserver.storage.pdus import Pdus

if TYPE_CHECKING:
    from homeserver.storage.database import Queries

MAX_ID_CHARACTERS: Final = 255


@dataclass(frozen=True, slots=True)
class AllSeeingReaders:
    """What members use, made with `AllSeeing`."""

    messages: ReadMessages
    context: ReadContext
    at_time: FindEventAtTime
    presenter: Presenter


@dataclass(frozen=True, slots=True)
class RoomReading:
    """All verbs raise NotFound for rooms that are not here."""

    queries: Queries
    cache: RoomCache
    pdus: Pdus
    readers: AllSeeingReaders
    hierarchy: ReadHierarchy
    audit: AuditLog

    async def members(self, room_id: str) -> list[str]:
        """Who has joined."""
        return sorted((await self._room(room_id)).joined)

    async def state(self, room_id: str, event_type: str | None) -> list[bytes]:
        """The current state in JSON, of one type where one is given."""
        room = await self._room(room_id)
        events: Iterable[TimelineEvent] = room.state if event_type is None else room.state.of_type(event_type).values()
        return self.readers.presenter.show_state(room_id, events)

    async def messages(self, requester: Requester, room_id: str, query: MessagesQuery) -> MessagesPage:
        """A page of the timeline. Raises InvalidParam for tokens that this server never made."""
        await self._room(room_id)
        await self.audit.record(self.queries, requester, "room.read_messages", room_id)
        return await self.readers.messages(requester, room_id, query)

    async def context(
        self, requester: Requester, room_id: str, event_id: str, limit: int, event_filter: RoomEventFilter
    ) -> EventContext:
        """An event with what was said around it. Raises NotFound."""
        await self._room(room_id)
        await self.audit.record(self.queries, requester, "room.read_context", room_id, {"event_id": event_id})
        return await self.readers.context(requester, room_id, event_id, limit, event_filter)

    async def event(self, requester: Requester, event_id: str) -> dict[str, Any]:
        """The event as servers know it, whatever became of it. Raises NotFound."""
        found = await self.pdus.pdus(self.queries, [event_id]) if is_storable(event_id, MAX_ID_CHARACTERS) else []
        for _, room_id, version, _, body, envelope in found:
            await self.audit.record(self.queries, requester, "room.read_event", room_id, {"event_id": event_id})
            pdu = join(body, envelope, ROOM_VERSIONS[version])
            return {**pdu, "event_id": event_id, "room_id": room_id, "unsigned": {"age_ts": pdu["origin_server_ts"]}}
        raise NotFound("Event not found")

    async def event_at_time(self, requester: Requester, room_id: str, ts: int, *, forwards: bool) -> tuple[str, int]:
        """(event id, its time) of the event closest to a moment. Raises NotFound."""
        await self._room(room_id)
        return await self.readers.at_time(requester.user_id, room_id, ts, forwards=forwards)

    async def below(self, requester: Requester, room_id: str, query: HierarchyQuery) -> HierarchyPage:
        """What is in a space, as far as this server knows. Raises InvalidParam."""
        await self._room(room_id)
        return await self.hierarchy(requester, room_id, query)

    async def _room(self, room_id: str) -> LiveRoom:
        try:
            return await self.cache.get(room_id)
        except NotFound:
            raise NotFound(NO_SUCH_ROOM) from None

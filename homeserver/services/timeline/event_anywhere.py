"""GET /events/{eventId}, deprecated since r0: one event, whose room the client need not know."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from homeserver.protocol.errors import NotFound
from homeserver.protocol.identifiers import is_event_id
from homeserver.services.requester import Requester
from homeserver.services.timeline.single_event import NO_SUCH_EVENT, ReadEvent
from homeserver.storage.events import Events

if TYPE_CHECKING:
    from homeserver.storage.database import Queries


@dataclass(frozen=True, slots=True)
class ReadEventAnywhere:
    """One verb."""

    queries: Queries
    events: Events
    read: ReadEvent

    async def __call__(self, reader: Requester, event_id: str) -> bytes:
        """The event's JSON. Raises NotFound: "or you do not have permission to read this event"."""
        room_id = await self.events.room_of(self.queries, event_id) if is_event_id(event_id) else None
        if room_id is None:
            raise NotFound(NO_SUCH_EVENT)
        return await self.read(reader, room_id, event_id)

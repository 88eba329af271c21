"""GET /rooms/{roomId}/event/{eventId}: one event."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from homeserver.protocol.errors import Forbidden, NotFound
from homeserver.services.relations.aggregations import has_relations
from homeserver.services.requester import Requester
from homeserver.services.rooms.live_room import LiveRoom
from homeserver.services.rooms.stored import to_timeline_event
from homeserver.services.rooms.timeline_event import REJECTED, SOFT_FAILED, TimelineEvent
from homeserver.services.timeline.open_room import RoomOpener
from homeserver.services.timeline.presentation import Presenter
from homeserver.services.timeline.redacted_content import RedactedContent
from homeserver.services.visibility import ReadAccess, Seen, Visibility
from homeserver.storage.events import Events

if TYPE_CHECKING:
    from homeserver.storage.database import Queries

NO_SUCH_EVENT = "The event was not found, or you may not see it"


@dataclass(frozen=True, slots=True)
class EventFinder:
    """Events of a room's timeline by id."""

    queries: Queries
    events: Events

    async def find(self, room: LiveRoom, event_id: str) -> TimelineEvent:
        """Raises NotFound for events that are unknown, of another room, or outside of the timeline."""
        for event in reversed(room.recent):
            if event.event_id == event_id:
                return event
        for record in await self.events.by_ids(self.queries, [event_id]):
            in_timeline = record["position"] is not None and not record["flags"] & (SOFT_FAILED | REJECTED)
            if record["room_nid"] == room.room_nid and in_timeline:
                return to_timeline_event(record, room.room_id)
        raise NotFound(NO_SUCH_EVENT)


@dataclass(frozen=True, slots=True)
class ReadEvent:
    """One verb."""

    opener: RoomOpener
    visibility: Visibility
    finder: EventFinder
    presenter: Presenter
    redacted: RedactedContent

    async def __call__(self, reader: Requester, room_id: str, event_id: str, *, unredacted: bool = False) -> bytes:
        """The event's JSON. Raises NotFound: "or you do not have permission to read this event".

        `unredacted`: as it was before it was redacted. Raises Forbidden, ContentDeletedError then.
        """
        try:
            room, access = await self.opener.access(room_id, reader.user_id)
        except Forbidden:
            raise NotFound(NO_SUCH_EVENT) from None
        event = await self.finder.find(room, event_id)
        seen = await self.visibility.see(room, reader.user_id, [event], access.perspective)
        if not seen and self._is_for_all(event, access):
            seen = [Seen(event, "leave")]
        if not seen:
            raise NotFound(NO_SUCH_EVENT)
        if unredacted:
            seen = [Seen(await self.redacted.restore(reader, room, seen[0].event), seen[0].membership)]
        opened = await self.opener.open(room_id, reader.user_id) if has_relations(event) else None
        return (await self.presenter.show(reader, room_id, seen, opened))[0]

    def _is_for_all(self, event: TimelineEvent, access: ReadAccess) -> bool:
        """ "History visibility checks MUST NOT be applied to sticky events", for members and while they stick."""
        until = event.sticky_until
        return access.joined and until is not None and until > self.presenter.clock.now_ms()

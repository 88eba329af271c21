"""GET /rooms/{roomId}/state: the room's state now, or when the reader left it."""

from __future__ import annotations

from dataclasses import dataclass

from homeserver.protocol.errors import NotFound
from homeserver.services.requester import Requester
from homeserver.services.rooms.timeline_event import TimelineEvent
from homeserver.services.timeline.open_room import RoomOpener
from homeserver.services.timeline.past_state import PastState
from homeserver.services.timeline.presentation import Presenter


@dataclass(frozen=True, slots=True)
class ReadState:
    """Two verbs. "If the user has left the room then the state is taken from the state of the room when they left." """

    opener: RoomOpener
    past: PastState
    presenter: Presenter

    async def everything(self, reader: Requester, room_id: str) -> list[bytes]:
        """All state events in JSON. Raises Forbidden."""
        room, access = await self.opener.access(room_id, reader.user_id)
        return self.presenter.show_state(room_id, await self.past.everything(room, access.left_at))

    async def one(self, reader: Requester, room_id: str, event_type: str, state_key: str) -> TimelineEvent:
        """One state event. Raises Forbidden, NotFound."""
        room, access = await self.opener.access(room_id, reader.user_id)
        event = await self.past.one(room, access.left_at, event_type, state_key)
        if event is None:
            raise NotFound("The room has no state with this type and key")
        return event

    def shown(self, event: TimelineEvent) -> bytes:
        """A state event in JSON."""
        return self.presenter.show_state(event.room_id, [event])[0]

"""What still sticks in a room, for servers that come into it: MSC4354, "Federation behaviour"."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, NamedTuple

from homeserver.protocol.identifiers import server_name_of
from homeserver.services.rooms.unsigned import came_in

if TYPE_CHECKING:
    from homeserver.federation.sending.sender import Sender
    from homeserver.services.clock import Clock
    from homeserver.services.rooms.room_cache import RoomCache
    from homeserver.services.rooms.timeline_event import TimelineEvent
    from homeserver.storage.database import Queries
    from homeserver.storage.sticky_events import StickyEventRows

MAX_OF_ROOM: Final = 400
"""The newest; a server keeps no more of them waiting (`Destination.late`)."""


class NewServer(NamedTuple):
    """A server of which nobody was in the room before."""

    server_name: str
    room_nid: int


@dataclass(slots=True)
class StickyBacklog:
    """ "When a new server joins the room, existing servers MUST attempt to push all of their own sticky events"."""

    server_name: str
    sender: Sender
    cache: RoomCache
    queries: Queries
    rows: StickyEventRows
    clock: Clock
    _waiting: dict[NewServer, None] = field(default_factory=dict)

    def note(self, events: Sequence[TimelineEvent]) -> bool:
        """Committed events: whether they bring a server into a room, so that there is something to `tell`."""
        came = Counter(
            (event.room_id, event.room_nid, server_name_of(event.state_key))
            for event in events
            if event.state_key is not None and came_in(event)
        )
        for (room_id, room_nid, server_name), count in came.items():
            room = self.cache.peek(room_id)
            # Of a room that is not in memory nobody knows; whoever is told twice takes it once.
            is_new = room is None or room.servers.get(server_name, 0) <= count
            if is_new and server_name != self.server_name:
                self._waiting[NewServer(server_name, room_nid)] = None
        return bool(self._waiting)

    async def tell(self) -> None:
        """One statement for all that wait."""
        waiting = list(self._waiting)
        if not waiting:
            return
        room_nids = list({new.room_nid for new in waiting})
        found = await self.rows.of_server(self.queries, room_nids, self.server_name, self.clock.now_ms(), MAX_OF_ROOM)
        for new in waiting:
            del self._waiting[new]
            events = [(position, event_id) for room_nid, position, event_id in found if room_nid == new.room_nid]
            if events:
                self.sender.want_late(new.server_name, events)

    @property
    def waiting(self) -> int:
        """Servers that have not been told."""
        return len(self._waiting)

"""/timestamp_to_event: the event closest to a moment, as far as this server has the history."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from homeserver.federation.serving.admission import Admission
from homeserver.protocol.errors import NotFound
from homeserver.services.timeline.event_at_time import AROUND
from homeserver.services.timeline.spans import LOWEST
from homeserver.storage.room_history import RoomHistory

if TYPE_CHECKING:
    from homeserver.storage.database import Queries

HIGHEST: Final = 10**17


@dataclass(frozen=True, slots=True)
class ServeEventAtTime:
    """One verb. An id and a time are no secret: every server of the room has the ids of all its events."""

    queries: Queries
    admission: Admission
    history: RoomHistory

    async def __call__(self, origin: str, room_id: str, ts: int, *, forwards: bool) -> tuple[str, int]:
        """(event id, time in ms). Raises NotFound, Forbidden."""
        room = await self.admission.enter(room_id, origin)
        found = await self.history.nearest_in_time(
            self.queries, room.room_nid, ranges=[(LOWEST, HIGHEST)], ts=ts, forwards=forwards, around=AROUND
        )
        if found is None:
            raise NotFound(f"Unable to find event from {ts} in {'forward' if forwards else 'backward'} direction")
        event_id, at_ms, _ = found
        return event_id, at_ms

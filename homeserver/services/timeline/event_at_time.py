"""GET /rooms/{roomId}/timestamp_to_event: the event closest to a moment."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from homeserver.protocol.errors import NotFound
from homeserver.services.timeline.open_room import RoomOpener
from homeserver.services.timeline.spans import LOWEST, spans_within
from homeserver.storage.positions import StreamPosition
from homeserver.storage.room_history import RoomHistory

if TYPE_CHECKING:
    from homeserver.storage.database import Queries

# Clocks of servers differ: how many events around the place that the order of the timeline suggests are compared.
AROUND = 500


@dataclass(frozen=True, slots=True)
class FindEventAtTime:
    """One verb."""

    queries: Queries
    opener: RoomOpener
    history: RoomHistory
    stream: StreamPosition

    async def __call__(self, user_id: str, room_id: str, ts: int, *, forwards: bool) -> tuple[str, int]:
        """(event id, time in ms) of the first visible event at or after `ts`, or the last at or before it.

        Raises Forbidden, NotFound.
        """
        opened = await self.opener.open(room_id, user_id)
        spans = spans_within(opened.ranges, LOWEST, self.stream.current, newest_first=False)
        found = await self.history.nearest_in_time(
            self.queries,
            opened.room.room_nid,
            ranges=[(after + 1, up_to) for after, up_to in spans],
            ts=ts,
            forwards=forwards,
            around=AROUND,
        )
        if found is None:
            raise NotFound(f"Unable to find event from {ts} in {'forward' if forwards else 'backward'} direction")
        return found

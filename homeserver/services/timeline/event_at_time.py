"""GET /rooms/{roomId}/timestamp_to_event: the event closest to a moment."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple, Protocol

from homeserver.protocol.errors import NotFound
from homeserver.services.rooms.live_room import LiveRoom
from homeserver.services.timeline.open_room import OpenRoom, RoomOpener
from homeserver.services.timeline.spans import LOWEST, spans_within
from homeserver.storage.positions import StreamPosition
from homeserver.storage.room_history import RoomHistory

if TYPE_CHECKING:
    from homeserver.storage.database import Queries

# Clocks of servers differ: how many events around the place that the order of the timeline suggests are compared.
AROUND = 500


class FoundEvent(NamedTuple):
    """`time_ms` is the event's own word."""

    event_id: str
    time_ms: int
    position: int


class HistoryElsewhere(Protocol):
    """What other servers have where our timeline has a gap; implemented by federation/history_at_time.py."""

    async def bring(self, room: LiveRoom, ts: int, found: FoundEvent | None, *, forwards: bool) -> bool:
        """Whether history has come here in which something closer to `ts` than `found` may be."""
        ...


@dataclass(frozen=True, slots=True)
class NoHistoryElsewhere:
    """Without federation all there is is here."""

    async def bring(self, room: LiveRoom, ts: int, found: FoundEvent | None, *, forwards: bool) -> bool:
        return False


@dataclass(frozen=True, slots=True)
class FindEventAtTime:
    """One verb."""

    queries: Queries
    opener: RoomOpener
    history: RoomHistory
    stream: StreamPosition
    elsewhere: HistoryElsewhere = field(default_factory=NoHistoryElsewhere)

    async def __call__(self, user_id: str, room_id: str, ts: int, *, forwards: bool) -> tuple[str, int]:
        """(event id, time in ms) of the first visible event at or after `ts`, or the last at or before it.

        Raises Forbidden, NotFound.
        """
        opened = await self.opener.open(room_id, user_id)
        found = await self._nearest(opened, ts, forwards=forwards)
        if await self.elsewhere.bring(opened.room, ts, found, forwards=forwards):
            opened = await self.opener.open(room_id, user_id)
            found = await self._nearest(opened, ts, forwards=forwards)
        if found is None:
            raise NotFound(f"Unable to find event from {ts} in {'forward' if forwards else 'backward'} direction")
        return found.event_id, found.time_ms

    async def _nearest(self, opened: OpenRoom, ts: int, *, forwards: bool) -> FoundEvent | None:
        spans = spans_within(opened.ranges, LOWEST, self.stream.current, newest_first=False)
        found = await self.history.nearest_in_time(
            self.queries,
            opened.room.room_nid,
            ranges=[(after + 1, up_to) for after, up_to in spans],
            ts=ts,
            forwards=forwards,
            around=AROUND,
        )
        return None if found is None else FoundEvent(*found)

"""The part `msc4354_sticky` of a joined room: events that stick and that the timeline does not show (MSC4354).

"Sticky events follow the same 'stream-like' behaviour as the timeline": what a reader gets of them lies between the same
two positions. History visibility does not apply to them, and of filters only the one for rooms.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from homeserver.protocol.filters import RoomEventFilter
from homeserver.services.clock import Clock
from homeserver.services.rooms.stored import to_timeline_event
from homeserver.services.rooms.timeline_event import TimelineEvent
from homeserver.services.sync.window import Window
from homeserver.storage.sticky_events import StickyEventRows, StickySpan

if TYPE_CHECKING:
    from homeserver.storage.database import Queries

# "Servers MAY limit the number of sticky events [...] a limit of 100 is suggested", but somebody who joins gets them all:
# the newest of a call with hundreds of people, and never so many that an answer grows without bound (for one sender see
# storage/sticky_events.py).
MAX_OF_ROOM = 1_000


@dataclass(slots=True)
class StickyRooms:
    """In which rooms something sticks, so that nobody asks the database about the others."""

    queries: Queries
    rows: StickyEventRows
    clock: Clock
    _until_ms: dict[int, int] = field(default_factory=dict)

    async def load(self) -> None:
        """Before the first request."""
        self._until_ms = dict(await self.rows.rooms(self.queries, self.clock.now_ms()))

    def apply_events(self, events: Sequence[TimelineEvent]) -> None:
        """Follow committed events."""
        for event in events:
            until = event.sticky_until
            if until is not None:
                self._until_ms[event.room_nid] = max(until, self._until_ms.get(event.room_nid, 0))

    def sticks(self, room_nid: int) -> bool:
        """Whether there may be an event of this room that sticks."""
        until = self._until_ms.get(room_nid)
        return until is not None and until > self.clock.now_ms()

    async def tidy(self) -> None:
        """Housekeeping: forget what no longer sticks."""
        now_ms = self.clock.now_ms()
        self._until_ms = {room_nid: until for room_nid, until in self._until_ms.items() if until > now_ms}
        await self.rows.forget_expired(self.queries, now_ms)

    def memory_usage(self) -> dict[str, int]:
        """Counts for the memory report."""
        return {"rooms": len(self._until_ms)}


@dataclass(frozen=True, slots=True)
class StickyParts:
    """One verb."""

    queries: Queries
    rows: StickyEventRows
    rooms: StickyRooms
    clock: Clock

    async def read(self, windows: Sequence[Window], timeline: RoomEventFilter, ignored: frozenset[str]) -> None:
        """Give windows of joined rooms what sticks there and is not in their timelines, which have been read.

        One statement for all rooms, and none where timelines show everything or nothing sticks.
        """
        asked = {
            window.room_nid: window
            for window in windows
            if window.membership.membership == "join"
            and self.rooms.sticks(window.room_nid)
            and not _shows_everything(window, timeline)
        }
        if not asked:
            return
        spans = [StickySpan(window.room_nid, window.after, window.up_to) for window in asked.values()]
        records = await self.rows.in_spans(self.queries, spans, self.clock.now_ms(), MAX_OF_ROOM)
        shown = {event.event_nid for window in asked.values() for event in window.events}
        for record in records:
            window = asked[record["room_nid"]]
            event = to_timeline_event(record, window.room_id)
            if event.event_nid not in shown and event.sender not in ignored:
                window.sticky.append(event)


def _shows_everything(window: Window, timeline: RoomEventFilter) -> bool:
    """Whether the timeline of a window surely holds all events of its span but those of ignored users."""
    return not window.limited and window.perspective is None and timeline.is_open and not timeline.asks_for_relations

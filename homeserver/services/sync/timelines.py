"""Timelines of many rooms: from memory where it reaches back far enough, else a bounded number of statements for all."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from homeserver.protocol.filters import RoomEventFilter
from homeserver.services.rooms.live_room import LiveRoom
from homeserver.services.rooms.stored import to_timeline_event
from homeserver.services.rooms.timeline_event import TimelineEvent
from homeserver.services.sync.window import Window
from homeserver.storage.sync_rooms import Span, SyncRooms

if TYPE_CHECKING:
    from homeserver.storage.database import Queries

Accept = Callable[[TimelineEvent], bool]

# How many events of each room are looked at, statement by statement, for as many as are wanted. Whoever filters for
# what is rarer than that gets a limited timeline, and pages on with /messages.
MORE_LOOKS = (200, 1000)
# Rows of one statement and events of one answer, so that a sync of very many rooms does not fill the memory.
MAX_ROWS = 50_000
SUMMARY_TYPES = frozenset(("m.room.member", "m.room.name", "m.room.canonical_alias"))


@dataclass(slots=True)
class Gathering:
    """Takes one window's events, newest first, until the timeline is full."""

    window: Window
    limit: int
    accept: Accept
    newest_first: list[TimelineEvent] = field(default_factory=list)
    lowest: int | None = None
    floor: int | None = None
    """The position below the highest hole of the window: the timeline may not go over it."""
    settled: set[tuple[str, str]] = field(default_factory=set)
    """What state was met already: older values of it are not in force at the window's end."""

    def take(self, events: Iterable[TimelineEvent]) -> bool:
        """True once an event was met for which there is no room any more."""
        window = self.window
        for event in events:
            if event.state_key is not None and event.type in SUMMARY_TYPES:
                window.saw_members = True
            self.lowest = event.position
            if self._is_hidden(event):
                continue
            if self.accept(event):
                if len(self.newest_first) == self.limit:
                    self._end(event.position)
                    return True
                self.newest_first.append(event)
            elif event.state_key is not None:
                window.passed_state.append(event)
        return False

    def _is_hidden(self, event: TimelineEvent) -> bool:
        """Whether the reader may not see the event. What is in force at the window's end he learns in any case, and
        best here: a client that takes timelines for changes of what it knows then has the whole state.
        """
        perspective = self.window.perspective
        if perspective is None:
            return False
        if event.state_key is not None:
            key = (event.type, event.state_key)
            if key not in self.settled:
                self.settled.add(key)
                return False
        return not perspective.history.allows(event.position)

    def complete(self) -> None:
        """There are no more events in the window, or none that are here without a hole between."""
        if self.floor is not None:
            self._end(self.floor)
            return
        self.window.events = self.newest_first[::-1]
        self.window.start = self.window.after

    def give_up(self) -> None:
        """Enough has been looked at."""
        self._end(self.window.up_to if self.lowest is None else self.lowest - 1)

    def _end(self, start: int) -> None:
        window = self.window
        window.events = self.newest_first[::-1]
        window.start = start
        window.limited = True
        window.saw_members = True

    def begin_again(self) -> None:
        """Memory did not reach back far enough."""
        self.newest_first.clear()
        self.window.passed_state.clear()
        self.window.saw_members = False
        self.settled.clear()
        self.lowest = self.floor = None


@dataclass(frozen=True, slots=True)
class Timelines:
    """One verb."""

    queries: Queries
    rooms: SyncRooms

    async def read(
        self, windows: Sequence[Window], wanted: RoomEventFilter, limit: int, ignored: frozenset[str]
    ) -> None:
        """Fill the windows with the newest ``limit`` events each (or their own, smaller limit) that are wanted, and that the
        reader may see where a window knows that; marks those with more as limited.
        """
        only = wanted.types.only
        if only is not None and not only.names and not only.wildcards:
            for window in windows:
                _show_nothing(window)
            return
        # Of very many rooms everybody gets less of each: the answer is made in memory.
        limit = min(limit, max(1, MAX_ROWS // max(1, len(windows))))
        accept = acceptance(wanted, ignored)
        cold = []
        for window in windows:
            gathering = Gathering(window, limit if window.limit is None else min(window.limit, limit), accept)
            if not _from_memory(gathering):
                cold.append(gathering)
        if cold:
            selective = not wanted.is_open or bool(ignored) or any(g.window.perspective is not None for g in cold)
            await self._from_database(cold, max(g.limit for g in cold), selective=selective)
        if wanted.asks_for_relations:
            await self._keep_related(windows, wanted)

    async def _from_database(self, gatherings: list[Gathering], limit: int, *, selective: bool) -> None:
        looks = [limit + 1 + (3 * limit + 20 if selective else 0), *(MORE_LOOKS if selective else ())]
        for look in looks:
            gatherings = await self._look(gatherings, min(look, max(limit + 1, MAX_ROWS // len(gatherings))))
            if not gatherings:
                return
        for gathering in gatherings:
            gathering.give_up()

    async def _look(self, gatherings: list[Gathering], look: int) -> list[Gathering]:
        """Read on in each window; returns those that are neither full nor at their end."""
        spans = [
            Span(
                g.window.room_nid,
                g.window.after if g.floor is None else g.floor,
                g.window.up_to if g.lowest is None else g.lowest - 1,
            )
            for g in gatherings
        ]
        rows = await self.rooms.timelines(self.queries, spans, look)
        room_ids = {g.window.room_nid: g.window.room_id for g in gatherings}
        events: dict[int, list[TimelineEvent]] = {}
        floors: dict[int, int | None] = {}
        for row in rows:
            floors[row[2]] = row["floor"]
            events.setdefault(row[2], []).append(to_timeline_event(row, room_ids[row[2]]))
        unfinished = []
        for gathering in gatherings:
            found = events.get(gathering.window.room_nid, [])
            if gathering.lowest is None:
                gathering.floor = floors.get(gathering.window.room_nid)
            if gathering.take(found):
                continue
            if len(found) < look:
                gathering.complete()
            else:
                unfinished.append(gathering)
        return unfinished

    async def _keep_related(self, windows: Sequence[Window], wanted: RoomEventFilter) -> None:
        event_ids = [event.event_id for window in windows for event in window.events]
        if not event_ids:
            return
        related = await self.rooms.related(
            self.queries, event_ids, wanted.related_by_senders, wanted.related_by_rel_types
        )
        for window in windows:
            kept = [event for event in window.events if event.event_id in related]
            window.passed_state += [
                event for event in window.events if event.state_key is not None and event.event_id not in related
            ]
            window.events = kept


def acceptance(wanted: RoomEventFilter, ignored: frozenset[str]) -> Accept:
    """Whether the filter wants an event, and the reader does not ignore its sender.

    "Servers must still send state events sent by ignored users to clients."
    """
    if ignored:
        return lambda event: (
            (event.state_key is not None or event.sender not in ignored) and wanted.matches_event(event)
        )
    return _anything if wanted.is_open else wanted.matches_event


def _anything(event: TimelineEvent) -> bool:
    return True


def _show_nothing(window: Window) -> None:
    """A filter for no type at all: what is behind the window's end is all state to this reader."""
    window.start = window.up_to
    window.saw_members = True


def _holds_everything(live: LiveRoom) -> bool:
    return bool(live.recent) and live.recent[0].type == "m.room.create"


def _floor(live: LiveRoom, window: Window) -> int | None:
    """As storage/sync_rooms.py has it."""
    tops = (gap.high - 1 for gap in live.gaps if gap.high - 1 > window.after and gap.high <= window.up_to)
    return max(tops, default=None)


def _from_memory(gathering: Gathering) -> bool:
    """Fill a window from the room's newest events; False where memory does not reach back far enough."""
    window = gathering.window
    live = window.live
    if live is None:
        return False
    gathering.floor = _floor(live, window)
    after = window.after if gathering.floor is None else gathering.floor
    newest_first = []
    reached = live.recent_complete_after <= after or _holds_everything(live)
    for event in reversed(live.recent):
        if event.position <= after:
            reached = True
            break
        if event.position <= window.up_to:
            newest_first.append(event)
    if gathering.take(newest_first):
        return True
    if reached:
        gathering.complete()
        return True
    gathering.begin_again()
    return False

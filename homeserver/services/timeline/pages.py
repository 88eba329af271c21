"""One page of a timeline, in one direction: from memory where the room's newest events reach, else from the database."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import TYPE_CHECKING

from homeserver.protocol.filters import RoomEventFilter
from homeserver.protocol.visibility import Range
from homeserver.services.rooms.live_room import LiveRoom
from homeserver.services.rooms.stored import to_timeline_event
from homeserver.services.rooms.timeline_event import TimelineEvent
from homeserver.services.timeline.spans import spans_within
from homeserver.services.timeline.wanted import wanted_by
from homeserver.storage.events import Events
from homeserver.storage.room_history import RoomHistory, Wanted
from homeserver.storage.timeline_gaps import Gap

if TYPE_CHECKING:
    from homeserver.storage.database import Queries

MAX_STATEMENTS = 8
# How many events the first statement of a filtered page goes through, and each further one four times as many up to
# the maximum: about a hundred thousand for a page that finds nothing, then the client asks on.
LOOK_AT = 1000
LOOK_AT_MOST = 16_000

EVERY_EVENT = RoomEventFilter()


@dataclass(frozen=True, slots=True)
class PageWish:
    """Events with ``after < position <= up_to``, at most ``limit``, of these ranges."""

    ranges: Sequence[Range]
    after: int
    up_to: int
    limit: int
    newest_first: bool
    filter: RoomEventFilter = EVERY_EVENT
    ignored: Collection[str] = ()
    """Users whose messages this reader does not want; their state events he gets."""

    def wants(self, event: TimelineEvent) -> bool:
        """What SQL was not asked, or not exactly."""
        if event.state_key is None and event.sender in self.ignored:
            return False
        return self.filter.contains_url is None or self.filter.matches_event(event)


@dataclass(frozen=True, slots=True)
class Page:
    """Events in the order in which they were read, and the place (as a token counts) where reading goes on.

    `end` is None where nothing was found and nothing is left. It is set behind the last event even where no more
    follow: clients and test suites that know other servers expect a token with every page that is not empty.
    """

    events: list[TimelineEvent]
    end: int | None
    gap: Gap | None = None
    """The hole at whose top the page had to end."""


@dataclass(frozen=True, slots=True)
class PageReader:
    """Reads pages; decides nothing about who may see them. Backwards no page goes over a hole: see gaps.py."""

    queries: Queries
    events: Events
    history: RoomHistory

    async def read(self, room: LiveRoom, wish: PageWish) -> Page:
        """The page. At most MAX_STATEMENTS statements, one in all but strange cases, none for recent events."""
        if wish.limit == 0:
            return Page([], wish.up_to if wish.newest_first else wish.after)
        if not wish.filter.rooms.includes(room.room_id):
            return Page([], None)
        gap = _gap_below(room, wish) if wish.newest_first else None
        if gap is not None:
            wish = replace(wish, after=min(gap.high - 1, wish.up_to))
        events, stopped = await self._read(room, wish)
        if stopped is not None:
            return Page(events, stopped)
        if gap is not None:
            return Page(events, wish.after, gap)
        return Page(events, _place(events[-1].position, wish) if events else None)

    async def _read(self, room: LiveRoom, wish: PageWish) -> tuple[list[TimelineEvent], int | None]:
        """Events, and where the reading goes on where there may be more."""
        wanted = wanted_by(wish.filter)
        found: list[TimelineEvent] = []
        statements = 0
        for after, up_to in spans_within(wish.ranges, wish.after, wish.up_to, newest_first=wish.newest_first):
            span: tuple[int, int] | None = (after, up_to)
            while span is not None:
                if statements == MAX_STATEMENTS:
                    return found, span[1] if wish.newest_first else span[0]
                look_at = min(LOOK_AT * 4**statements, LOOK_AT_MOST)
                statements += 1
                events, looked_to = await self._fetch(room, wish, wanted, span, wish.limit - len(found), look_at)
                found += [event for event in events if wish.wants(event)]
                if len(found) == wish.limit:
                    return found, _place(found[-1].position, wish)
                span = _rest(span, looked_to, wish)
        return found, None

    async def _fetch(
        self, room: LiveRoom, wish: PageWish, wanted: Wanted | None, span: tuple[int, int], limit: int, look_at: int
    ) -> tuple[Sequence[TimelineEvent], int | None]:
        """Events of the span, and the position of the last one looked at; None where the span ends."""
        after, up_to = span
        if wanted is None:
            events = _from_memory(room, span, limit, newest_first=wish.newest_first)
            if events is None:
                read = self.events.backwards if wish.newest_first else self.events.forwards
                records = await read(self.queries, room.room_nid, after=after, up_to=up_to, limit=limit)
                events = [to_timeline_event(record, room.room_id) for record in records]
            return events, events[-1].position if len(events) == limit else None
        records, looked_to = await self.history.filtered(
            self.queries,
            room.room_nid,
            after=after,
            up_to=up_to,
            limit=limit,
            look_at=look_at,
            newest_first=wish.newest_first,
            wanted=wanted,
        )
        events = [to_timeline_event(record, room.room_id) for record in records]
        return events, events[-1].position if len(events) == limit else looked_to


def _gap_below(room: LiveRoom, wish: PageWish) -> Gap | None:
    """The highest hole that the page would come to, if its reader may see anything further down."""
    for gap in reversed(room.gaps):
        if gap.low < wish.up_to and gap.high - 1 > wish.after:
            is_seen = any(first < gap.high and last > wish.after for first, last in wish.ranges)
            return gap if is_seen else None
    return None


def _from_memory(
    room: LiveRoom, span: tuple[int, int], limit: int, *, newest_first: bool
) -> list[TimelineEvent] | None:  # fmt: skip
    """The span's first ``limit`` events where memory is sure to hold them."""
    after, up_to = span
    if newest_first:
        newest = (event for event in reversed(room.recent) if after < event.position <= up_to)
        events = list(islice(newest, limit))
        return events if len(events) == limit or after >= room.recent_complete_after else None
    if after < room.recent_complete_after:
        return None
    return list(islice((event for event in room.recent if after < event.position <= up_to), limit))


def _place(position: int, wish: PageWish) -> int:
    return position - 1 if wish.newest_first else position


def _rest(span: tuple[int, int], looked_to: int | None, wish: PageWish) -> tuple[int, int] | None:
    if looked_to is None:
        return None
    after, up_to = span
    rest = (after, looked_to - 1) if wish.newest_first else (looked_to, up_to)
    return rest if rest[0] < rest[1] else None

"""How events are known here."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING

from homeserver.services.foreign_events.outcomes import Standing
from homeserver.services.rooms.timeline_event import REJECTED, SOFT_FAILED
from homeserver.storage.pdus import EventMark, Pdus

if TYPE_CHECKING:
    from homeserver.storage.database import Queries

StandingsOf = Callable[[Collection[str]], Awaitable[dict[str, Standing]]]
"""`Standings`, as others are given it."""
StandingsIn = Callable[[int, Collection[str]], Awaitable[dict[str, Standing]]]
"""`Standings.in_room`."""


@dataclass(frozen=True, slots=True)
class Standings:
    """One question about many events."""

    queries: Queries
    pdus: Pdus

    async def __call__(self, event_ids: Collection[str]) -> dict[str, Standing]:
        """By event id; events that are not stored are left out. One statement."""
        marks = await self.pdus.marks(self.queries, event_ids)
        return {event_id: standing_of(mark) for event_id, mark in marks.items()}

    async def in_room(self, room_nid: int, event_ids: Collection[str]) -> dict[str, Standing]:
        """The same without events of other rooms, on which nothing of this room can be built."""
        marks = await self.pdus.marks(self.queries, event_ids)
        return {event_id: standing_of(mark) for event_id, mark in marks.items() if mark.room_nid == room_nid}


def standing_of(mark: EventMark) -> Standing:
    """What the columns say."""
    if mark.flags & REJECTED:
        return Standing.REJECTED
    if mark.flags & SOFT_FAILED:
        return Standing.SOFT_FAILED
    return Standing.OUTLIER if mark.position is None else Standing.IN_TIMELINE

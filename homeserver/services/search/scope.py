"""Where somebody may search: the rooms he was ever in and has not forgotten, and what of them he may see."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import orjson

from homeserver.protocol.filters import RoomEventFilter
from homeserver.services.visibility import Perspective, Visibility
from homeserver.storage.search_entries import SearchEntries

if TYPE_CHECKING:
    from homeserver.services.awake import AwakeUsers
    from homeserver.storage.database import Queries
    from homeserver.storage.memberships import Membership

MAX_PREDECESSORS: Final = 20
"""Rooms before one that was upgraded, again and again."""


@dataclass(frozen=True, slots=True)
class Scope:
    """By room id: his memberships, and the positions that he may see there."""

    rooms: Mapping[str, Membership]
    perspectives: Mapping[str, Perspective]

    @property
    def whole(self) -> list[int]:
        """Rooms that he sees whole."""
        return [
            self.rooms[room_id].room_nid
            for room_id, perspective in self.perspectives.items()
            if perspective.history.is_everything
        ]

    @property
    def parts(self) -> list[tuple[int, int, int]]:
        """(room, first, last position) of every stretch of others."""
        return [
            (self.rooms[room_id].room_nid, first, last)
            for room_id, perspective in self.perspectives.items()
            if not perspective.history.is_everything
            for first, last in perspective.history.ranges
        ]

    @property
    def room_nids(self) -> list[int]:
        return [self.rooms[room_id].room_nid for room_id in self.perspectives]


@dataclass(frozen=True, slots=True)
class FindScope:
    """One verb; two statements at most."""

    queries: Queries
    awake: AwakeUsers
    visibility: Visibility
    entries: SearchEntries

    async def __call__(self, user_id: str, event_filter: RoomEventFilter, room_id: str | None = None) -> Scope:
        """`room_id`: that room only. Rooms of the filter bring along those that were upgraded into them, as clients expect."""
        known = {
            each.room_id: each
            for each in (await self.awake.memberships(user_id)).values()
            if not each.forgotten and not each.outside
        }
        wanted = await self._wanted(known, event_filter)
        rooms = {each: known[each] for each in wanted if room_id is None or each == room_id}
        perspectives = await self.visibility.read_perspectives(user_id, list(rooms.values())) if rooms else {}
        seen = {
            each: found for each, found in perspectives.items() if _was_there(found) and not found.history.is_nothing
        }
        return Scope(rooms, seen)

    async def _wanted(self, known: Mapping[str, Membership], event_filter: RoomEventFilter) -> Sequence[str]:
        rooms = event_filter.rooms
        if rooms.only is None:
            return [room_id for room_id in known if room_id not in rooms.excluded]
        asked = [room_id for room_id in known if room_id in rooms.only]
        creations = await self.entries.create_events(self.queries, [each.room_nid for each in known.values()])
        before = {room_id: predecessor_in(creations.get(each.room_nid)) for room_id, each in known.items()}
        found = dict.fromkeys(each for room_id in asked for each in _line(room_id, before))
        return [room_id for room_id in found if room_id in known and room_id not in rooms.excluded]


def predecessor_in(create_event: bytes | None) -> str | None:
    """The room that was upgraded into the one with this create event."""
    content = {} if create_event is None else orjson.loads(create_event).get("content")
    predecessor = content.get("predecessor") if isinstance(content, dict) else None
    room_id = predecessor.get("room_id") if isinstance(predecessor, dict) else None
    return room_id if isinstance(room_id, str) else None


def _line(room_id: str | None, before: Mapping[str, str | None]) -> Iterable[str]:
    """The room and those before it: create events say it, and those of others may run in a circle."""
    for _ in range(MAX_PREDECESSORS):
        if room_id is None:
            return
        yield room_id
        room_id = before.get(room_id)


def _was_there(perspective: Perspective) -> bool:
    """Search is over "rooms the user was in", not over all that are open to the world."""
    return any(membership == "join" for _, membership in perspective.memberships)

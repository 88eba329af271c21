"""State as it was at a position: from memory where nothing has changed since, else in one statement."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from homeserver.services.rooms.live_room import LiveRoom
from homeserver.services.rooms.stored import to_timeline_event
from homeserver.services.rooms.timeline_event import TimelineEvent
from homeserver.services.rooms.unsigned import replaced_nothing
from homeserver.storage.room_history import RoomHistory
from homeserver.storage.rooms import Rooms

if TYPE_CHECKING:
    from asyncpg import Record

    from homeserver.storage.database import Queries

MEMBER = "m.room.member"


@dataclass(frozen=True, slots=True)
class PastState:
    """Positions are inclusive: an event's own change counts. `position` None means now.

    Positions of the events are those since which they were in force.
    """

    queries: Queries
    rooms: Rooms
    history: RoomHistory

    async def everything(
        self, room: LiveRoom, position: int | None, members: Collection[str] | None = None
    ) -> list[TimelineEvent]:
        """All state; of the memberships only those of `members`, where these are given."""
        if _unchanged_since(room, room.state, position):
            return [event for event in room.state if _is_asked_for(event, members)]
        assert position is not None
        if members is None:
            records = await self.rooms.state_at(self.queries, room.room_nid, position)
        else:
            records = await self.history.state_at_with_members(self.queries, room.room_nid, position, list(members))
        return _events(records, room)

    async def one(
        self, room: LiveRoom, position: int | None, event_type: str, state_key: str
    ) -> TimelineEvent | None:  # fmt: skip
        """One state event."""
        event = room.state.get(event_type, state_key)
        if position is None or (event is not None and event.position <= position):
            return event
        keys = [(event_type, state_key)]
        found = _events(await self.rooms.state_at_for_keys(self.queries, room.room_nid, position, keys), room)
        return found[0] if found else None

    async def all_members(self, room: LiveRoom, position: int | None) -> Sequence[TimelineEvent]:
        """All membership events, those of people who left included."""
        members = room.state.of_type(MEMBER).values()
        if _unchanged_since(room, members, position):
            return list(members)
        assert position is not None
        return _events(await self.history.members_at(self.queries, room.room_nid, position), room)

    async def members(self, room: LiveRoom, position: int, user_ids: Iterable[str]) -> list[TimelineEvent]:
        """The membership events of these users; none where somebody had none yet."""
        known: list[TimelineEvent] = []
        changed: list[tuple[str, str]] = []
        for user_id in dict.fromkeys(user_ids):
            event = room.state.get(MEMBER, user_id)
            if event is not None and event.position <= position:
                known.append(event)
            elif not replaced_nothing(event, room.emptied) if event is not None else (MEMBER, user_id) in room.emptied:
                changed.append((MEMBER, user_id))
        if changed:
            known += _events(await self.rooms.state_at_for_keys(self.queries, room.room_nid, position, changed), room)
        return known


def _unchanged_since(room: LiveRoom, events: Iterable[TimelineEvent], position: int | None) -> bool:
    if position is None:
        return True
    if room.emptied and position < room.resolved_at:
        return False
    return all(event.position <= position for event in events)


def _is_asked_for(event: TimelineEvent, members: Collection[str] | None) -> bool:
    return members is None or event.type != MEMBER or event.state_key in members


def _events(records: Iterable[Record], room: LiveRoom) -> list[TimelineEvent]:
    return [to_timeline_event(record, room.room_id) for record in records]

"""What happened in one user's rooms between two positions of the events stream, from memory where it reaches back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from homeserver.services.rooms.stored import to_timeline_event
from homeserver.services.rooms.timeline_event import RESOLVES, TimelineEvent
from homeserver.services.rooms.unsigned import replaced_membership
from homeserver.storage.memberships import Membership
from homeserver.storage.recent import RecentChanges
from homeserver.storage.sync_rooms import SyncRooms

if TYPE_CHECKING:
    from homeserver.storage.database import Queries

MEMBER = "m.room.member"


@dataclass(slots=True)
class OwnChange:
    """How the reader's own membership of a room went: what it was, and his membership events, oldest first."""

    before: str
    events: list[TimelineEvent] = field(default_factory=list)

    @property
    def memberships(self) -> list[tuple[int, str]]:
        return [(event.position, event.membership or "leave") for event in self.events]

    @property
    def left_between(self) -> bool:
        """Whether he was out of the room at any time since."""
        return self.before != "join" or any(membership != "join" for _, membership in self.memberships)

    @property
    def was_in(self) -> bool:
        """Whether he was in the room at any time since."""
        return self.before == "join" or any(membership == "join" for _, membership in self.memberships)

    def departure(self) -> TimelineEvent | None:
        """The event that ended his last stay."""
        joined, ended = self.before == "join", None
        for event in self.events:
            if joined and event.membership != "join":
                ended = event
            joined = event.membership == "join"
        return ended


@dataclass(slots=True)
class RoomChanges:
    """What is new in the rooms of a user, in ``(since, to]``."""

    since: int
    to: int
    rooms: set[str] = field(default_factory=set)
    """Rooms in which anything happened."""
    own: dict[str, OwnChange] = field(default_factory=dict)
    by_room: Mapping[str, Sequence[TimelineEvent]] | None = None
    """All events of the user's rooms, where memory has them."""


@dataclass(frozen=True, slots=True)
class ChangesOfRooms:
    """One verb."""

    queries: Queries
    storage: SyncRooms
    recent: RecentChanges[TimelineEvent]

    async def between(
        self, user_id: str, rooms: Mapping[str, Membership], since: int, to: int
    ) -> RoomChanges:  # fmt: skip
        """What happened in these rooms. No statement where the changes are in memory."""
        if since >= to or not rooms:
            return RoomChanges(since, to, by_room={})
        recent = self.recent.since(since, to)
        if recent is not None:
            changes = _from_memory(user_id, rooms, since, to, recent)
            await self._add_resolved(user_id, rooms, changes)
            return changes
        return await self._from_database(user_id, rooms, since, to)

    async def _from_database(
        self, user_id: str, rooms: Mapping[str, Membership], since: int, to: int
    ) -> RoomChanges:  # fmt: skip
        changes = RoomChanges(since, to)
        ids = {entry.room_nid: room_id for room_id, entry in rooms.items()}
        joined = [entry.room_nid for entry in rooms.values() if entry.membership == "join"]
        if joined:
            found = await self.storage.changed_rooms(self.queries, joined, since, to)
            changes.rooms = {ids[room_nid] for room_nid in found}
        # The memberships say since when they are what they are: only the changed ones have a history to read.
        moved = [entry for entry in rooms.values() if entry.position > since]
        if moved:
            await self._add_own(user_id, moved, changes)
        return changes

    async def _add_resolved(self, user_id: str, rooms: Mapping[str, Membership], changes: RoomChanges) -> None:
        """Memberships that the reader's own events in memory do not tell of: resolution brought them."""
        assert changes.by_room is not None
        unsure = [
            rooms[room_id]
            for room_id, events in changes.by_room.items()
            if rooms[room_id].position > changes.since and any(event.flags & RESOLVES for event in events)
        ]
        if unsure:
            for entry in unsure:
                changes.own.pop(entry.room_id, None)
            await self._add_own(user_id, unsure, changes)

    async def _add_own(self, user_id: str, entries: Sequence[Membership], changes: RoomChanges) -> None:
        ids = {entry.room_nid: entry.room_id for entry in entries}
        rows = await self.storage.own_memberships(self.queries, list(ids), user_id, changes.since, changes.to)
        for row in rows:
            _add_own(changes, to_timeline_event(row, ids[row[2]]))
        changes.own = {room_id: own for room_id, own in changes.own.items() if own.events}


def _from_memory(
    user_id: str, rooms: Mapping[str, Membership], since: int, to: int, recent: Sequence[TimelineEvent]
) -> RoomChanges:
    by_room: dict[str, list[TimelineEvent]] = {}
    changes = RoomChanges(since, to, by_room=by_room)
    for event in recent:
        room_id = event.room_id
        if room_id in rooms:
            by_room.setdefault(room_id, []).append(event)
            if event.type == MEMBER and event.state_key == user_id and event.takes_force:
                _add_own(changes, event)
    changes.rooms = set(by_room)
    return changes


def _add_own(changes: RoomChanges, event: TimelineEvent) -> None:
    own = changes.own.get(event.room_id)
    if event.position <= changes.since:
        changes.own[event.room_id] = OwnChange(event.membership or "leave")
    elif own is None:
        changes.own[event.room_id] = OwnChange(replaced_membership(event) or "leave", [event])
    else:
        own.events.append(event)

"""Where voice channels are: the spaces above them, and who may see into each of those rooms.

Known of channels in which somebody is or was, so that a sync which tells of a space asks the database nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from homeserver.services.sight import Sight
from homeserver.storage.spaces import MAX_DEPTH, Link, SpaceLinks

if TYPE_CHECKING:
    from homeserver.services.rooms.timeline_event import TimelineEvent
    from homeserver.storage.database import Queries

MATTERS = frozenset({"m.space.child", "m.room.join_rules", "m.room.history_visibility"})
"""State by which a place may change."""
MAX_ALLOWED_ROOMS = 100


@dataclass(frozen=True, slots=True)
class Door:
    """Who may see that a room is there, and what goes on in it, without being in it."""

    is_open: bool = False
    """Public, or everybody may read it."""
    through: frozenset[str] = frozenset()
    """Members of these rooms may join. "Restricted Rooms" of the client-server API."""

    def opens_for(self, room_id: str, sight: Sight) -> bool:
        """Whether somebody may see it. Who is banned from it may not, however open it is."""
        if room_id in sight.joined:
            return True
        return room_id not in sight.banned and (self.is_open or not self.through.isdisjoint(sight.joined))


CLOSED = Door()


@dataclass(frozen=True, slots=True)
class Place:
    """One channel with everything above it."""

    parents: Mapping[str, frozenset[str]]
    """Spaces by the room that is in them: of the channel and of the spaces above it."""
    doors: Mapping[str, Door]

    @property
    def rooms(self) -> Collection[str]:
        """The channel and the spaces above it."""
        return self.doors.keys()

    def is_seen_from(self, space_id: str, room_id: str, sight: Sight) -> bool:
        """Whether the channel `room_id` can be found from the space by rooms that all may be seen."""
        reached, seen = frozenset({room_id}), {room_id}
        for _ in range(MAX_DEPTH):
            reached = frozenset(room for room in reached if self.doors.get(room, CLOSED).opens_for(room, sight))
            reached = frozenset().union(*(self.parents.get(room, frozenset()) for room in reached)) - seen
            if space_id in reached:
                return True
            seen |= reached
        return False


@dataclass(slots=True)
class Places:
    """Loads, holds and follows them."""

    queries: Queries
    links: SpaceLinks
    _places: dict[str, Place] = field(default_factory=dict)
    _of_room: dict[str, set[str]] = field(default_factory=dict)
    """Channels by each room of their places."""

    def get(self, channel: str) -> Place | None:
        """The place of a channel, where it is known and nothing about it has changed."""
        return self._places.get(channel)

    def below(self, space_id: str) -> Collection[str]:
        """Known channels that are in a space, seen or not."""
        return self._of_room.get(space_id, ())

    async def load(self, channels: Sequence[str]) -> None:
        """Two statements for all of these channels."""
        links = await self.links.above(self.queries, channels)
        parents = _parents(links)
        rooms = {channel: _upwards(channel, parents) for channel in channels}
        doors = _doors(await self.links.doors(self.queries, sorted(set().union(*rooms.values()))))
        for channel, above in rooms.items():
            self.forget(channel)
            self._hold(channel, above, parents, doors)

    def _hold(
        self, channel: str, rooms: Iterable[str], parents: Mapping[str, frozenset[str]], doors: Mapping[str, Door]
    ) -> None:
        place = Place(
            {room: parents[room] for room in rooms if room in parents},
            {room: doors.get(room, CLOSED) for room in rooms},
        )
        self._places[channel] = place
        for room in place.rooms:
            self._of_room.setdefault(room, set()).add(channel)

    def forget(self, channel: str) -> None:
        """Nobody asks for it any more, or it is not what it was."""
        place = self._places.pop(channel, None)
        for room in place.rooms if place is not None else ():
            channels = self._of_room[room]
            channels.discard(channel)
            if not channels:
                del self._of_room[room]

    def outdated_by(self, events: Iterable[TimelineEvent]) -> set[str]:
        """Channels whose places these committed events may have changed."""
        found: set[str] = set()
        for event in events:
            if event.state_key is not None:
                found |= self.outdated_by_keys(event.room_id, [(event.type, event.state_key)])
        return found

    def outdated_by_keys(self, room_id: str, keys: Iterable[tuple[str, str]]) -> set[str]:
        """The same of changed keys of one room's state."""
        found: set[str] = set()
        for event_type, state_key in keys:
            if event_type in MATTERS:
                found |= self._of_room.get(state_key if event_type == "m.space.child" else room_id, set())
        return found

    def memory_usage(self) -> dict[str, int]:
        """Counts for the memory report."""
        return {"places": len(self._places), "rooms_of_places": len(self._of_room)}


def _parents(links: Iterable[Link]) -> dict[str, frozenset[str]]:
    parents: dict[str, set[str]] = {}
    for link in links:
        parents.setdefault(link.room_id, set()).add(link.space_id)
    return {room: frozenset(spaces) for room, spaces in parents.items()}


def _upwards(channel: str, parents: Mapping[str, frozenset[str]]) -> set[str]:
    reached = level = {channel}
    for _ in range(MAX_DEPTH):
        level = {space for room in level for space in parents.get(room, ())} - reached
        reached = reached | level
    return reached


def _doors(state: Iterable[tuple[str, str, dict[str, Any]]]) -> dict[str, Door]:
    found: dict[str, Door] = {}
    for room_id, event_type, content in state:
        before = found.get(room_id, CLOSED)
        if event_type == "m.room.history_visibility":
            is_open = content.get("history_visibility") == "world_readable"
            found[room_id] = Door(before.is_open or is_open, before.through)
        else:
            rule = content.get("join_rule")
            through = _allowed_rooms(content) if rule in ("restricted", "knock_restricted") else frozenset()
            found[room_id] = Door(before.is_open or rule == "public", through)
    return found


def _allowed_rooms(content: Mapping[str, Any]) -> frozenset[str]:
    allow = content.get("allow")
    conditions = [each for each in allow if isinstance(each, dict)] if isinstance(allow, list) else []
    rooms = (each.get("room_id") for each in conditions if each.get("type") == "m.room_membership")
    return frozenset([room for room in rooms if isinstance(room, str)][:MAX_ALLOWED_ROOMS])

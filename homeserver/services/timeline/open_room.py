"""The first step of everything that reads a room."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from homeserver.protocol.errors import Forbidden, NotFound
from homeserver.protocol.visibility import EVERYTHING
from homeserver.services.relations.aggregations import Shown
from homeserver.services.rooms.live_room import LiveRoom
from homeserver.services.rooms.room_cache import RoomCache
from homeserver.services.rooms.timeline_event import TimelineEvent
from homeserver.services.visibility import (
    NOT_IN_ROOM,
    Perspective,
    ReadAccess,
    Sight,
    joined_since,
    never_hid_anything,
)


@dataclass(frozen=True, slots=True)
class OpenRoom:
    """A room that its reader may read, and his view of it where that had to be asked for."""

    room: LiveRoom
    access: ReadAccess
    perspective: Perspective | None

    @property
    def ranges(self) -> tuple[tuple[int, int], ...]:
        """The positions of events that the reader may see."""
        return (EVERYTHING if self.perspective is None else self.perspective.history).ranges

    def shown(self, user_id: str, events: Sequence[TimelineEvent]) -> Shown:
        """These events, and what the reader sees of the room beside them."""
        return Shown(events, self.ranges, partial(self._membership_at, user_id))

    def _membership_at(self, user_id: str, position: int) -> str | None:
        """What the reader was; None where that is not known without asking."""
        if self.perspective is not None:
            return self.perspective.membership_at(position)
        return "join" if joined_since(self.room, user_id, position) else None


@dataclass(frozen=True, slots=True)
class RoomOpener:
    """Finds rooms for readers."""

    cache: RoomCache
    visibility: Sight

    async def access(self, room_id: str, user_id: str) -> tuple[LiveRoom, ReadAccess]:
        """The room, and why this user may read it. Raises Forbidden, for a room that does not exist too."""
        try:
            room = await self.cache.get(room_id)
        except NotFound:
            raise Forbidden(NOT_IN_ROOM) from None
        return room, await self.visibility.check_can_read(room, user_id)

    async def open(self, room_id: str, user_id: str) -> OpenRoom:
        """The same with the reader's view of all of the timeline. Raises Forbidden."""
        room, access = await self.access(room_id, user_id)
        perspective = access.perspective
        if perspective is None and not (access.joined and never_hid_anything(room)):
            perspective = await self.visibility.perspective(room, user_id)
        return OpenRoom(room, access, perspective)

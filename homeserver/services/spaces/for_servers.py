"""What another server is told of a space: the space, and one level of rooms in it."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from homeserver.protocol.errors import NotFound
from homeserver.services.spaces.access import is_open, is_open_through

if TYPE_CHECKING:
    from homeserver.services.spaces.local_rooms import LocalRooms
    from homeserver.services.spaces.space_room import SpaceRoom


class DenyingRooms(Protocol):
    """`federation.room_acl.RoomAcl.denying`."""

    async def __call__(self, room_ids: Collection[str], server_name: str) -> set[str]:
        """Those of the rooms that do not let this server take part."""
        ...


@dataclass(frozen=True, slots=True)
class HierarchyForServers:
    """Server-server API, `GET /hierarchy`."""

    local: LocalRooms
    denying: DenyingRooms

    async def __call__(self, origin: str, room_id: str, *, suggested_only: bool) -> dict[str, Any]:
        """The answer. Raises NotFound, also where nobody of the asking server could get in."""
        mine, in_mine = await self.local.for_server([room_id], origin)
        space = mine.get(room_id)
        if space is None or room_id not in await self._visible(mine, in_mine, origin):
            raise NotFound("There is no such room here, or you could not join it")
        wanted = [child.room_id for child in space.wanted_children(suggested_only=suggested_only)]
        rooms, in_rooms = await self.local.for_server(wanted, origin)
        visible = await self._visible(rooms, in_rooms, origin)
        return {
            "room": space.chunk(suggested_only=suggested_only),
            "children": [rooms[each].summary() for each in wanted if each in visible],
            "inaccessible_children": [each for each in wanted if each in rooms and each not in visible],
        }

    async def _visible(self, rooms: dict[str, SpaceRoom], with_origin: set[str], origin: str) -> set[str]:
        """Rooms that "the requesting server could feasibly peek/join"."""
        doors = {each for room in rooms.values() for each in room.allowed}
        joined = await self.local.with_server(doors, origin)
        visible = {
            room_id
            for room_id, room in rooms.items()
            if room_id in with_origin or is_open(room) or is_open_through(room, joined)
        }
        return visible - await self.denying(visible, origin)

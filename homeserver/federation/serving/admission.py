"""Whether a server may ask about a room at all."""

from __future__ import annotations

from dataclasses import dataclass

from homeserver.federation.room_acl import RoomAcl
from homeserver.protocol.errors import Forbidden
from homeserver.services.rooms.live_room import LiveRoom
from homeserver.services.rooms.room_cache import RoomCache

NOT_IN_ROOM = "None of your users is in this room"


@dataclass(frozen=True, slots=True)
class Admission:
    """ "The requesting host is not in the room, or is excluded from the room via `m.room.server_acl`.": 403."""

    cache: RoomCache
    acl: RoomAcl

    async def enter(self, room_id: str, origin: str) -> LiveRoom:
        """The room. Raises NotFound where this server does not know it, Forbidden."""
        room = await self.look(room_id, origin)
        if not room.is_in(origin):
            raise Forbidden(NOT_IN_ROOM)
        return room

    async def look(self, room_id: str, origin: str) -> LiveRoom:
        """The room, for a server that may have left it: who asks decides what it may still see. Raises as `enter`."""
        room = await self.cache.get(room_id)
        await self.acl.check(room_id, origin)
        return room

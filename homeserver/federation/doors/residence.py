"""Which rooms this server can open to others: those it is in itself."""

from __future__ import annotations

from dataclasses import dataclass

from homeserver.federation.room_acl import RoomAcl
from homeserver.protocol.errors import Forbidden, NotFound
from homeserver.protocol.identifiers import is_user_id
from homeserver.services.rooms.live_room import LiveRoom
from homeserver.services.rooms.room_cache import RoomCache


@dataclass(frozen=True, slots=True)
class ResidentRooms:
    """One question, before all others."""

    cache: RoomCache
    acl: RoomAcl

    async def open_to(self, origin: str, room_id: str) -> LiveRoom:
        """The room; raises NotFound where nobody of this server is in it, Forbidden where its ACL keeps `origin` out."""
        room = await self.cache.get(room_id)
        if not room.joined_local:
            raise NotFound(f"Nobody of this server is in the room {room_id}")
        await self.acl.check(room_id, origin)
        return room

    async def find(self, room_id: str) -> LiveRoom | None:
        """The room if this server is in it."""
        try:
            room = await self.cache.get(room_id)
        except NotFound:
            return None
        return room if room.joined_local else None


def check_user_of(origin: str, user_id: object) -> None:
    """Raises Forbidden: a server speaks for its own users only."""
    if not isinstance(user_id, str) or not is_user_id(user_id) or user_id.partition(":")[2] != origin:
        raise Forbidden("That is not a user of the server that asks")

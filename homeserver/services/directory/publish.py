"""Which rooms the public directory lists."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from homeserver.protocol.auth.permissions import may_send
from homeserver.protocol.errors import Forbidden, NotFound
from homeserver.services.clock import Clock
from homeserver.services.directory.published import PublishedRooms
from homeserver.services.membership.content import check_joined
from homeserver.services.requester import Requester
from homeserver.services.rooms.live_room import LiveRoom
from homeserver.services.rooms.room_cache import RoomCache
from homeserver.storage.room_directory import RoomDirectoryRows

if TYPE_CHECKING:
    from homeserver.storage.database import Queries


@dataclass(frozen=True, slots=True)
class PublishRoom:
    """Two verbs."""

    queries: Queries
    cache: RoomCache
    rows: RoomDirectoryRows
    published: PublishedRooms
    clock: Clock
    allow_publish: bool

    async def is_published(self, room_id: str) -> bool:
        """Whether the directory lists the room. Raises NotFound for unknown rooms."""
        is_published = await self.rows.is_published(self.queries, room_id)
        if is_published is None:
            raise NotFound(f"This server does not know the room {room_id}")
        return is_published

    async def set_published(self, requester: Requester, room_id: str, is_published: bool) -> None:
        """List a room, or list it no longer. Raises NotFound, Forbidden.

        Who may choose the room's main alias may decide this too: both are how strangers find it.
        """
        room = await self.cache.get(room_id)
        if not requester.is_admin:
            _check_may_decide(room, requester.user_id)
            if is_published and not self.allow_publish:
                raise Forbidden("This server does not let users list rooms in the directory")
        if is_published:
            await self.rows.publish(self.queries, room_id, self.clock.now_ms())
            self.published.add(room_id)
        else:
            await self.rows.unpublish(self.queries, room_id)
            self.published.remove(room_id)


def _check_may_decide(room: LiveRoom, user_id: str) -> None:
    check_joined(room, user_id)
    if not may_send(room.power_levels(), user_id, "m.room.canonical_alias", is_state=True):
        raise Forbidden("You do not have the power to decide about the directory entry of this room")

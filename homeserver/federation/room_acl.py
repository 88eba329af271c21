"""Which servers a room lets in, by its `m.room.server_acl`: asked for each request and each transaction of another server."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from homeserver.federation.bounded import Bounded
from homeserver.protocol.errors import Forbidden
from homeserver.protocol.server_acl import ServerAcl
from homeserver.services.rooms.live_room import LiveRoom
from homeserver.services.rooms.room_cache import RoomCache

MAX_LISTS: Final = 1_000
MAX_ANSWERS: Final = 20_000
DENIED: Final = "This room does not let your server take part"


def _lists() -> Bounded[str, ServerAcl]:
    return Bounded(MAX_LISTS)


def _answers() -> Bounded[tuple[str, str], bool]:
    return Bounded(MAX_ANSWERS)


@dataclass(frozen=True, slots=True)
class RoomAcl:
    """Lists are read once for each event; answers are remembered, for a list may have thousands of patterns."""

    cache: RoomCache
    _lists: Bounded[str, ServerAcl] = field(default_factory=_lists)
    _answers: Bounded[tuple[str, str], bool] = field(default_factory=_answers)

    async def check(self, room_id: str, server_name: str) -> None:
        """Raises Forbidden where the room denies the server, NotFound where this server does not know the room."""
        if not self.allows(await self.cache.get(room_id), server_name):
            raise Forbidden(DENIED)

    def allows(self, room: LiveRoom, server_name: str) -> bool:
        """By the room's current state."""
        event = room.state.get("m.room.server_acl")
        if event is None:
            return True
        answer = self._answers.get((event.event_id, server_name))
        if answer is None:
            answer = self._list(event.event_id, room).allows(server_name)
            self._answers.put((event.event_id, server_name), answer)
        return answer

    def _list(self, event_id: str, room: LiveRoom) -> ServerAcl:
        found = self._lists.get(event_id)
        if found is None:
            event = room.state.get("m.room.server_acl")
            assert event is not None
            found = ServerAcl.of(event.content)
            self._lists.put(event_id, found)
        return found

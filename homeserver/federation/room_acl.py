"""Which servers a room lets in, by its `m.room.server_acl`: asked for each request and each transaction of another server."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import orjson

from homeserver.federation.bounded import Bounded
from homeserver.protocol.errors import Forbidden
from homeserver.protocol.server_acl import ServerAcl
from homeserver.services.rooms.live_room import LiveRoom
from homeserver.services.rooms.room_cache import RoomCache
from homeserver.storage.server_acls import ServerAclRows

if TYPE_CHECKING:
    from homeserver.storage.database import Queries

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
    queries: Queries
    rows: ServerAclRows
    _lists: Bounded[str, ServerAcl] = field(default_factory=_lists)
    _answers: Bounded[tuple[str, str], bool] = field(default_factory=_answers)

    async def check(self, room_id: str, server_name: str) -> None:
        """Raises Forbidden where the room denies the server, NotFound where this server does not know the room."""
        if not self.allows(await self.cache.get(room_id), server_name):
            raise Forbidden(DENIED)

    def allows(self, room: LiveRoom, server_name: str) -> bool:
        """By the room's current state."""
        event = room.state.get("m.room.server_acl")
        return event is None or self._allows(event.event_id, lambda: event.content, server_name)

    async def denying(self, room_ids: Collection[str], server_name: str) -> set[str]:
        """Those of many rooms that deny the server; one statement at most, and unknown rooms deny nobody."""
        live = {room_id: room for room_id in room_ids if (room := self.cache.peek(room_id)) is not None}
        denying = {room_id for room_id, room in live.items() if not self.allows(room, server_name)}
        others = [room_id for room_id in room_ids if room_id not in live]
        rows = await self.rows.current(self.queries, others) if others else []
        for room_id, event_id, body in rows:
            if not self._allows(event_id, partial(_content, body), server_name):
                denying.add(room_id)
        return denying

    def _allows(self, event_id: str, content: Callable[[], dict[str, Any]], server_name: str) -> bool:
        answer = self._answers.get((event_id, server_name))
        if answer is None:
            answer = self._list(event_id, content).allows(server_name)
            self._answers.put((event_id, server_name), answer)
        return answer

    def _list(self, event_id: str, content: Callable[[], dict[str, Any]]) -> ServerAcl:
        found = self._lists.get(event_id)
        if found is None:
            found = ServerAcl.of(content())
            self._lists.put(event_id, found)
        return found


def _content(body: bytes) -> dict[str, Any]:
    content = orjson.loads(body).get("content")
    return content if isinstance(content, dict) else {}

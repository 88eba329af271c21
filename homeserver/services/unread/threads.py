"""Which thread an event belongs to: its root's event id, or "main" ("Threaded read receipts")."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from homeserver.protocol.relations import THREAD, relation_of
from homeserver.services.rooms.live_room import LiveRoom
from homeserver.storage.unread import UnreadCountRows

if TYPE_CHECKING:
    from homeserver.storage.database import Queries

MAIN = "main"
MAX_HOPS = 3  # "a maximum of 3 hops is recommended to cover indirect relationships"


@dataclass(slots=True)
class Threads:
    """Direct relations are read from the content; indirect ones followed in memory, else asked for and remembered."""

    queries: Queries
    rows: UnreadCountRows
    capacity: int = 10_000
    _by_parent: OrderedDict[tuple[int, str], str] = field(default_factory=OrderedDict)

    async def of_event(self, room: LiveRoom, event_type: str, content: Mapping[str, Any]) -> str:
        """The thread of an event of this room; a statement only where it relates to an old event of no known thread."""
        known = self.known(room, event_type, content)
        if known is not None:
            return known
        relation = relation_of(content)
        assert relation is not None
        thread = await self.rows.thread_of(self.queries, room.room_nid, relation[0])
        self._by_parent[room.room_nid, relation[0]] = thread
        while len(self._by_parent) > self.capacity:
            self._by_parent.popitem(last=False)
        return thread

    def known(
        self, room: LiveRoom | None, event_type: str, content: Mapping[str, Any], hops: int = MAX_HOPS
    ) -> str | None:
        """The same from memory; None where only the database knows."""
        if "m.relates_to" not in content:
            return MAIN
        relation = relation_of(content)
        if relation is None or hops == 0:
            return MAIN
        if relation[1] == THREAD:
            return relation[0]
        return self._of_parent(room, relation[0], hops - 1) if room is not None else None

    def _of_parent(self, room: LiveRoom, parent_id: str, hops: int) -> str | None:
        for event in reversed(room.recent):
            if event.event_id == parent_id:
                return self.known(room, event.type, event.content, hops)
        return self._by_parent.get((room.room_nid, parent_id))

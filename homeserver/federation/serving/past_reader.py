"""The graph behind some events, read a stretch of timeline at a time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from homeserver.federation.serving.places import is_outlier, place_of
from homeserver.federation.serving.walks import Node, Walk
from homeserver.protocol.canonical_json import decode_lenient
from homeserver.protocol.events import referenced_ids
from homeserver.protocol.room_versions import RoomVersion
from homeserver.services.rooms.live_room import LiveRoom
from homeserver.services.rooms.timeline_event import REJECTED
from homeserver.storage.event_graph import EventGraph, StoredNode

if TYPE_CHECKING:
    from homeserver.storage.database import Queries

MAX_STATEMENTS: Final = 5
"""One is enough where the timeline is all there is; events aside (soft-failed, rejected) are found by their ids."""
MORE: Final = 20
"""How many events more than wanted are read at once: siblings in the timeline that are no ancestors."""
MAX_LACKING: Final = 200

Walker = Callable[[dict[str, Node]], Walk]


@dataclass(frozen=True, slots=True)
class PastReader:
    """Reads what a walk needs."""

    queries: Queries
    graph: EventGraph

    async def walk(
        self, room: LiveRoom, starts: Sequence[str], walker: Walker, limit: int
    ) -> list[StoredNode]:  # fmt: skip
        """What the walk finds. At most MAX_STATEMENTS statements; what is not reached with those is left out."""
        stored: dict[str, StoredNode] = {}
        nodes: dict[str, Node] = {}
        asked: set[str] = set()
        wanted = list(dict.fromkeys(starts))
        walk = Walk([], [])
        for _ in range(MAX_STATEMENTS):
            asked.update(wanted)
            new = await self.graph.past(self.queries, room.room_nid, wanted, limit + MORE)
            stored |= new
            nodes |= {each.event_id: _node(each, room.version) for each in new.values() if not is_outlier(each)}
            walk = walker(nodes)
            wanted = [event_id for event_id in walk.lacking if event_id not in asked][:MAX_LACKING]
            if not wanted:
                break
        return [stored[node.event_id] for node in walk.found]


def _node(stored: StoredNode, version: RoomVersion) -> Node:
    return Node(
        stored.event_id,
        stored.depth,
        place_of(stored),
        referenced_ids(decode_lenient(stored.envelope)["prev_events"], version),
        sent=not stored.flags & REJECTED,
    )

"""What was before some events: /backfill, /get_missing_events, and single events."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from homeserver.federation.serving.admission import NOT_IN_ROOM, Admission
from homeserver.federation.serving.past_reader import PastReader
from homeserver.federation.serving.pdus import StoredPdus
from homeserver.federation.serving.places import is_outlier
from homeserver.federation.serving.sight import ServerSight
from homeserver.federation.serving.walks import Node, Walk, breadth_first, newest_first
from homeserver.protocol.errors import Forbidden, InvalidParam, NotFound
from homeserver.services.rooms.live_room import LiveRoom
from homeserver.storage.event_graph import EventGraph, StoredNode

if TYPE_CHECKING:
    from homeserver.storage.database import Queries

MAX_BACKFILL: Final = 100
MAX_MISSING: Final = 50
MAX_STARTS: Final = 100
"""An event is built on at most 20 others; who asks about more than a few of them wants to make us work."""
MAX_EARLIEST: Final = 1_000

NO_SUCH_EVENT: Final = "This server does not know such an event"


@dataclass(frozen=True, slots=True)
class ServePast:
    """Verbs for servers in the room. PDUs are JSON; what the server may not see comes redacted."""

    queries: Queries
    admission: Admission
    graph: EventGraph
    reader: PastReader
    sight: ServerSight
    pdus: StoredPdus

    async def event(self, origin: str, event_id: str) -> bytes:
        """One event, rejected and soft-failed ones too. A server that has left gets what it got while it was there.

        Raises NotFound, Forbidden.
        """
        room_id = await self.graph.room_of(self.queries, event_id)
        if room_id is None:
            raise NotFound(NO_SUCH_EVENT)
        room = await self.admission.look(room_id, origin)
        nodes = list((await self.graph.nodes(self.queries, room.room_nid, [event_id])).values())
        hidden = await self.sight.hidden(room, origin, nodes)
        if not room.is_in(origin) and (hidden or is_outlier(nodes[0])):
            raise Forbidden(NOT_IN_ROOM)
        return (await self.pdus.json([event_id], room.version, hidden))[event_id]

    async def backfill(self, origin: str, room_id: str, starts: Sequence[str], limit: int) -> list[bytes]:
        """ "The PDUs given in `v` and the PDUs that preceded them [...], up to the total number given by the `limit`."

        Newest first. Raises NotFound, Forbidden, InvalidParam.
        """
        _check_count("v", starts, MAX_STARTS)
        room = await self.admission.enter(room_id, origin)
        limit = min(limit, MAX_BACKFILL)
        nodes = await self.reader.walk(room, starts, lambda known: newest_first(starts, known, limit), limit)
        return await self._shown(room, origin, nodes)

    async def missing(
        self, origin: str, room_id: str, latest: Sequence[str], earliest: Sequence[str], *, limit: int, min_depth: int
    ) -> list[bytes]:
        """What is between the earliest and the latest, oldest first. Raises NotFound, Forbidden, InvalidParam."""
        _check_count("latest_events", latest, MAX_STARTS)
        _check_count("earliest_events", earliest, MAX_EARLIEST)
        room = await self.admission.enter(room_id, origin)
        limit = min(limit, MAX_MISSING)

        def walker(known: Mapping[str, Node]) -> Walk:
            return breadth_first(latest, earliest, known, min_depth=min_depth, limit=limit)

        nodes = await self.reader.walk(room, latest, walker, limit)
        return await self._shown(room, origin, nodes[::-1])

    async def _shown(self, room: LiveRoom, origin: str, nodes: Sequence[StoredNode]) -> list[bytes]:
        if not nodes:
            return []
        hidden = await self.sight.hidden(room, origin, nodes)
        found = await self.pdus.json([node.event_id for node in nodes], room.version, hidden)
        return list(found.values())


def _check_count(name: str, event_ids: Sequence[str], maximum: int) -> None:
    if len(event_ids) > maximum:
        raise InvalidParam(f"'{name}' has more than {maximum} events")

"""Auth graphs of rooms that are being resolved, in memory."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from homeserver.protocol.state_res import KnownAuth
from homeserver.storage.pdus import Pdus

if TYPE_CHECKING:
    from homeserver.storage.database import Queries

MAX_EVENTS = 200_000
"""In all graphs together; some 400 bytes each."""
ADDED_AT_ONCE = 2_000


@dataclass(slots=True)
class AuthGraphs:
    """The least recently used are dropped. A graph holds state events and all in their auth chains."""

    queries: Queries
    rows: Pdus
    _graphs: OrderedDict[str, KnownAuth] = field(default_factory=OrderedDict)

    def of(self, room_id: str) -> KnownAuth:
        """The graph of a room, as far as it has been loaded."""
        graph = self._graphs.setdefault(room_id, KnownAuth())
        self._graphs.move_to_end(room_id)
        while len(self._graphs) > 1 and sum(map(len, self._graphs.values())) > MAX_EVENTS:
            self._graphs.popitem(last=False)
        return graph

    async def load(self, graph: KnownAuth, event_ids: Collection[str]) -> None:
        """Add these state events, and their auth chains. One statement."""
        rows = await self.rows.auth_links(self.queries, event_ids)
        if len(rows) < ADDED_AT_ONCE:
            _add(graph, rows)
        else:
            await asyncio.to_thread(_add, graph, rows)

    def memory_usage(self) -> dict[str, int]:
        """Counts for the memory report."""
        return {"rooms": len(self._graphs), "events": sum(map(len, self._graphs.values()))}


def _add(graph: KnownAuth, rows: Sequence[Any]) -> None:
    ids = {row["event_nid"]: row["event_id"] for row in rows}
    for row in rows:
        cited = [ids[nid] for nid in row["auth_nids"] or () if nid in ids]
        if row["state_key"] is not None:
            graph.add(row["event_id"], (row["type"], row["state_key"]), cited)

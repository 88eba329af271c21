"""What rooms were like when users went: what happens there since is none of their business, filters included."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from homeserver.services.rooms.stored import to_timeline_event
from homeserver.services.sliding_sync.room_facts import Facts
from homeserver.services.visibility import Visibility
from homeserver.storage.memberships import Membership
from homeserver.storage.sync_rooms import SyncRooms

if TYPE_CHECKING:
    from homeserver.storage.database import Queries

MAX_REMEMBERED: Final = 50_000
TYPES: Final = ("m.room.name", "m.room.encryption", "m.room.create")


@dataclass(slots=True)
class DepartureFacts:
    """One verb. What it has found never changes until the user's membership does."""

    queries: Queries
    rooms: SyncRooms
    visibility: Visibility
    _known: OrderedDict[tuple[str, int, int], Facts] = field(default_factory=OrderedDict)

    async def of_rooms(self, user_id: str, entries: Sequence[Membership]) -> dict[str, Facts]:
        """Of rooms that the user is out of; at most two statements. Nothing of those that he never was in."""
        keys = {(user_id, entry.room_nid, entry.event_nid): entry for entry in entries}
        unknown = {key: entry for key, entry in keys.items() if key not in self._known}
        if unknown:
            read = await self._read(user_id, list(unknown.values()))
            self._known.update((key, read[entry.room_nid]) for key, entry in unknown.items())
        found = {entry.room_id: self._known[key] for key, entry in keys.items()}
        while len(self._known) > MAX_REMEMBERED:
            self._known.popitem(last=False)
        return found

    async def _read(self, user_id: str, entries: Sequence[Membership]) -> Mapping[int, Facts]:
        facts = {entry.room_nid: Facts() for entry in entries}
        views = await self.visibility.read_perspectives(user_id, entries)
        ended = {entry.room_nid: (entry.room_id, views[entry.room_id].left_at) for entry in entries}
        wanted = [(nid, kind, "", at) for nid, (_, at) in ended.items() if at is not None for kind in TYPES]
        for row in await self.rooms.state_values_at(self.queries, wanted) if wanted else ():
            facts[row[2]].follow_state(to_timeline_event(row, ended[row[2]][0]))
        return facts

    def memory_usage(self) -> dict[str, int]:
        """Counts for the memory report."""
        return {"stays": len(self._known)}

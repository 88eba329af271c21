"""`summary`: how many members a room has, and by whom a room without a name is known."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from heapq import nsmallest
from typing import TYPE_CHECKING, Any

from homeserver.services.rooms.live_room import LiveRoom
from homeserver.services.sync.window import Window
from homeserver.storage.sync_rooms import SyncRooms

if TYPE_CHECKING:
    from homeserver.storage.database import Queries

# "This should be the first 5 members of the room, ordered by stream ordering, which are joined or invited."
HEROES = 5
MEMBER = "m.room.member"


@dataclass(frozen=True, slots=True)
class Summary:
    """Counts, and heroes where the room has neither a name nor an alias."""

    joined: int
    invited: int
    heroes: Sequence[str] | None

    def as_json(self) -> dict[str, Any]:
        summary: dict[str, Any] = {"m.joined_member_count": self.joined, "m.invited_member_count": self.invited}
        if self.heroes is not None:
            summary["m.heroes"] = self.heroes
        return summary


@dataclass(frozen=True, slots=True)
class Summaries:
    """One verb."""

    queries: Queries
    rooms: SyncRooms

    async def read(self, user_id: str, windows: Sequence[Window]) -> dict[str, Summary]:
        """Summaries by room id, of those windows that are new or in which members, name or alias may have changed."""
        wanted = [window for window in windows if window.full or window.saw_members]
        summaries = {w.room_id: summary_of(w.live, user_id) for w in wanted if w.live is not None}
        cold = {window.room_nid: window.room_id for window in wanted if window.live is None}
        if cold:
            for row in await self.rooms.summaries(self.queries, list(cold), user_id, HEROES):
                heroes = None if row.present is None else row.present or row.gone
                summaries[cold[row.room_nid]] = Summary(row.joined, row.invited, heroes)
        return summaries


def summary_of(room: LiveRoom, user_id: str) -> Summary:
    """The summary of a room in memory, as this reader gets it."""
    heroes = None
    if not _is_set(room, "m.room.name", "name") and not _is_set(room, "m.room.canonical_alias", "alias"):
        heroes = _heroes(room, user_id)
    return Summary(len(room.joined), len(room.invited), heroes)


def _is_set(room: LiveRoom, event_type: str, key: str) -> bool:
    event = room.state.get(event_type)
    value = None if event is None else event.content.get(key)
    return isinstance(value, str) and value != ""


def _heroes(room: LiveRoom, user_id: str) -> list[str]:
    """ "When no joined or invited members are available, this should consist of the banned and left users." """
    members = room.state.of_type(MEMBER)
    return _first(room, room.joined | room.invited, user_id) or _first(room, members, user_id)


def _first(room: LiveRoom, user_ids: Iterable[str], but: str) -> list[str]:
    members = room.state.of_type(MEMBER)
    found = ((members[user_id].event_nid, user_id) for user_id in user_ids if user_id != but and user_id in members)
    return [user_id for _, user_id in nsmallest(HEROES, found)]

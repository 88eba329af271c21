"""Results as clients page through them, all together and group by group. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from homeserver.protocol.room_versions import RoomVersion
from homeserver.services.rooms.timeline_event import TimelineEvent
from homeserver.services.search.places import SearchPlace
from homeserver.services.search.request import SearchRequest


class Hit(NamedTuple):
    """An event that matches, the version of its room, and how well it matches."""

    event: TimelineEvent
    version: RoomVersion
    rank: float


@dataclass(frozen=True, slots=True)
class Results:
    """Of one request. `group`: the only one that this page goes on with."""

    request: SearchRequest
    up_to: int
    count: int
    group: tuple[str, str] | None

    def behind(self, position: int, rank: float) -> str:
        """The token of the page behind the result at this place."""
        return self._token(position, rank, self.count, self.group)

    def groups(self, hits: Sequence[Hit], *, more: bool) -> Mapping[str, Mapping[str, dict[str, Any]]]:
        """By key and value: which results are in it, its place among the groups, and its own token where there may be `more`."""
        return {key: self._groups_by(key, hits, more=more) for key in self.request.group_by}

    def _groups_by(self, key: str, hits: Sequence[Hit], *, more: bool) -> dict[str, dict[str, Any]]:
        groups: dict[str, dict[str, Any]] = {}
        for hit in hits:
            value = hit.event.room_id if key == "room_id" else hit.event.sender
            group = groups.setdefault(value, {"results": [], "order": len(groups)})
            group["results"].append(hit.event.event_id)
            if more:
                group["next_batch"] = self._token(hit.event.position, hit.rank, None, self.group or (key, value))
        return groups

    def _token(self, position: int, rank: float, count: int | None, group: tuple[str, str] | None) -> str:
        place = SearchPlace(self.up_to, position, rank if self.request.by_rank else None, count, group)
        return place.format(self.request.identity)

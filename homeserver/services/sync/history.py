"""History visibility of many rooms at once: what of their timelines this reader may see."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from homeserver.protocol.room_versions import ROOM_VERSIONS
from homeserver.services.sync.window import Window
from homeserver.services.visibility import Visibility, redacted_copy
from homeserver.storage.sync_rooms import SyncRooms
from homeserver.storage.users import Users

if TYPE_CHECKING:
    from homeserver.storage.database import Queries


@dataclass(frozen=True, slots=True)
class HiddenHistory:
    """Two verbs, around the reading of timelines."""

    queries: Queries
    rooms: SyncRooms
    users: Users
    visibility: Visibility
    server_name: str

    async def look(self, user_id: str, windows: Sequence[Window]) -> list[Window]:
        """Give windows the reader's view where he may not see all of their events; returns those, emptied: their
        timelines have to be read again. No statement where he has been in all rooms since their start.
        """
        unsure = [window for window in windows if _is_unsure(window)]
        if not unsure:
            return []
        perspectives = await self.visibility.read_perspectives(user_id, unsure)
        hiding = []
        for window in unsure:
            window.perspective = perspective = perspectives[window.room_id]
            if not all(perspective.history.allows(event.position) for event in window.events):
                window.begin_again(perspective)
                hiding.append(window)
        return hiding

    async def hide_erased(self, windows: Sequence[Window]) -> None:
        """Who was not in the room when an erased user spoke gets his events redacted (see services/visibility.py)."""
        ours = ":" + self.server_name
        foreign = [
            (window, event)
            for window in windows
            if window.perspective is not None
            for event in window.events
            if event.sender.endswith(ours) and window.membership_at(event.position) != "join"
        ]
        if not foreign:
            return
        erased = await self.users.erased_among(self.queries, {event.sender for _, event in foreign})
        if not erased:
            return
        versions = await self.rooms.versions(self.queries, list({window.room_nid for window, _ in foreign}))
        for window, event in foreign:
            if event.sender in erased:
                copy = redacted_copy(event, ROOM_VERSIONS[versions[window.room_nid]])
                window.events[window.events.index(event)] = copy


def _is_unsure(window: Window) -> bool:
    """Whether the reader may not have been in the room at some event of the window."""
    if not window.events or window.perspective is not None:
        return False
    membership = window.membership
    if membership.membership == "join" and membership.position <= window.events[0].position:
        return False
    return window.full or window.newly_joined or membership.membership != "join"

"""How administrators see rooms: everything, as somebody who never was there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from homeserver.protocol.visibility import EVERYTHING, FIRST_POSITION
from homeserver.services.rooms.live_room import LiveRoom
from homeserver.services.rooms.timeline_event import TimelineEvent
from homeserver.services.visibility import Perspective, ReadAccess, Seen

STRANGER: Final = "leave"
_ALL: Final = Perspective(EVERYTHING, ((FIRST_POSITION, STRANGER),))


@dataclass(frozen=True, slots=True)
class AllSeeing:
    """In the place of `Visibility`. Whether an administrator asks has been checked, and what he reads is recorded."""

    async def check_can_read(self, room: LiveRoom, user_id: str) -> ReadAccess:
        """He can."""
        return ReadAccess(world_readable=True, perspective=_ALL)

    async def perspective(self, room: LiveRoom, user_id: str, oldest: int = FIRST_POSITION) -> Perspective:
        """All positions."""
        return _ALL

    async def see(
        self, room: LiveRoom, user_id: str, events: Sequence[TimelineEvent], perspective: Perspective | None = None
    ) -> list[Seen]:
        """All events, those of erased users too."""
        return [Seen(event, STRANGER) for event in events]

"""What this server calls a room, and that it lists it, passes to its successor when a user of ours goes there.

The upgrade may have happened on another server, which moves its own aliases only ("Room upgrades", server behaviour).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from homeserver.services.directory.published import PublishedRooms
from homeserver.services.rooms.live_room import LiveRoom
from homeserver.storage.aliases import Aliases
from homeserver.storage.room_directory import RoomDirectoryRows

if TYPE_CHECKING:
    from homeserver.storage.database import Database


@dataclass(frozen=True, slots=True)
class CarryNames:
    """One verb."""

    database: Database
    aliases: Aliases
    directory: RoomDirectoryRows
    published: PublishedRooms

    async def __call__(self, old: LiveRoom, new_id: str) -> None:
        """Both rooms say that one follows the other. At most two statements; none are left to be moved the second time."""
        async with self.database.transaction() as tx:
            await self.aliases.move(tx, old.room_nid, new_id)
            await self.directory.move(tx, old.room_nid, new_id)
        self.published.moved(old.room_id, new_id)

"""Which files a room's events name. What is encrypted says nothing of its files."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from homeserver.protocol.errors import TooLarge
from homeserver.protocol.identifiers import is_server_name
from homeserver.services.rooms.room_cache import HIGHEST_POSITION, RoomCache
from homeserver.storage.room_media import RoomMediaRows

if TYPE_CHECKING:
    from homeserver.storage.database import Queries

EVENTS_AT_ONCE: Final = 5_000
"""So that a statement takes a moment, however large the room is."""
MAX_FILES: Final = 100_000


@dataclass(frozen=True, slots=True)
class FilesOfRoom:
    """One verb."""

    queries: Queries
    rows: RoomMediaRows
    cache: RoomCache

    async def __call__(self, room_id: str) -> set[tuple[str, str]]:
        """Server names and media ids, whether the files are here or not. Raises NotFound; TooLarge beyond `MAX_FILES`."""
        room = await self.cache.get(room_id)
        files: set[tuple[str, str]] = set()
        before: int | None = HIGHEST_POSITION
        while before is not None:
            found, before = await self.rows.stretch(self.queries, room.room_nid, before, EVENTS_AT_ONCE)
            files |= {each for each in found if is_server_name(each[0])}
            if len(files) > MAX_FILES:
                raise TooLarge(f"The room names more than {MAX_FILES} files")
        return files

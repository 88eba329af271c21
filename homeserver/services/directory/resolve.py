"""From an alias, or a room id, to the room."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from homeserver.protocol.errors import InvalidParam, NotFound
from homeserver.protocol.identifiers import parse_room_alias, parse_room_id
from homeserver.storage.aliases import Aliases, StoredAlias

if TYPE_CHECKING:
    from homeserver.storage.database import Queries


@dataclass(frozen=True, slots=True)
class ResolveRoom:
    """Look-ups by name."""

    queries: Queries
    aliases: Aliases

    async def room_id(self, room: str) -> str:
        """The room id of an alias or of itself. Raises InvalidParam for neither, NotFound for unknown aliases."""
        if room.startswith("#"):
            return (await self.alias(room)).room_id
        if room.startswith("!"):
            parse_room_id(room)
            return room
        raise InvalidParam("This is neither a room id nor a room alias")

    async def alias(self, alias: str) -> StoredAlias:
        """Where an alias points. Raises InvalidParam, NotFound (also for aliases of other servers)."""
        parse_room_alias(alias)
        found = await self.aliases.find(self.queries, alias)
        if found is None:
            raise NotFound(f"There is no room with the alias {alias}")
        return found

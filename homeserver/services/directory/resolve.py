"""From an alias, or a room id, to the room."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from homeserver.protocol.errors import InvalidParam, NotFound
from homeserver.protocol.identifiers import parse_room_alias, parse_room_id
from homeserver.services.directory.remote import FoundRoom, RemoteAliases
from homeserver.services.rooms.room_cache import RoomCache
from homeserver.storage.aliases import Aliases

if TYPE_CHECKING:
    from homeserver.storage.database import Queries

MAX_SERVERS = 20
MakeAlias = Callable[[str], Awaitable[bool]]


@dataclass(frozen=True, slots=True)
class ResolveRoom:
    """Look-ups by name."""

    queries: Queries
    aliases: Aliases
    cache: RoomCache
    remote: RemoteAliases
    server_name: str
    makers: list[MakeAlias] = field(default_factory=list)
    """Asked for aliases of this server that do not exist: application services."""

    async def room(self, room: str) -> FoundRoom:
        """The room of an alias or of an id, for somebody who wants to go there: not where the alias pointed before.

        Raises InvalidParam for neither, else as `alias`.
        """
        if room.startswith("#"):
            return await self.alias(room, newest=True)
        if room.startswith("!"):
            parse_room_id(room)
            return FoundRoom(room)
        raise InvalidParam("This is neither a room id nor a room alias")

    async def alias(self, alias: str, *, newest: bool = False) -> FoundRoom:
        """Where an alias points; other servers are asked for theirs, now (`newest`) or a few minutes ago.

        Raises InvalidParam, NotFound, and as `RemoteAliases.find`.
        """
        server_name = parse_room_alias(alias).server_name
        if server_name != self.server_name:
            return await self.remote.find(server_name, alias, newest=newest)
        found = await self.aliases.find(self.queries, alias)
        if found is None and any([await make(alias) for make in self.makers]):
            found = await self.aliases.find(self.queries, alias)
        if found is None:
            raise NotFound(f"There is no room with the alias {alias}")
        return FoundRoom(found.room_id, await self._servers(found.room_id))

    async def _servers(self, room_id: str) -> list[str]:
        """Who is in the room, most users first; we are named in any case, for we know how to find it."""
        servers = (await self.cache.get(room_id)).servers
        others = sorted((name for name in servers if name != self.server_name), key=lambda name: -servers[name])
        return [self.server_name, *others[: MAX_SERVERS - 1]]

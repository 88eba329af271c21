"""GET /room_summary: what may be told of one room, whether this server is in it or not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from homeserver.protocol.errors import InvalidParam, MatrixError, NotFound
from homeserver.protocol.identifiers import is_room_id, is_server_name, parse_room_alias
from homeserver.services.directory.remote import FoundRoom
from homeserver.services.spaces.access import is_open, may_user_see
from homeserver.services.spaces.stripped_room import stripped_room

if TYPE_CHECKING:
    from homeserver.services.awake import AwakeUsers
    from homeserver.services.directory.resolve import ResolveRoom
    from homeserver.services.spaces.local_rooms import LocalRooms
    from homeserver.services.spaces.remote import OtherServersSpaces
    from homeserver.services.spaces.space_room import SpaceRoom
    from homeserver.storage.database import Queries
    from homeserver.storage.memberships import Membership
    from homeserver.storage.stripped_states import StrippedStates

MAX_VIA: Final = 20
NO_SUCH_ROOM: Final = "There is no such room, or you may not look at it"


@dataclass(frozen=True, slots=True)
class _Reader:
    """Who asks; a stranger is a member of nothing."""

    user_id: str | None
    memberships: Mapping[str, Membership]
    joined: set[str]

    def may_see(self, room: SpaceRoom) -> bool:
        return is_open(room) if self.user_id is None else may_user_see(room, self.memberships, self.joined)


@dataclass(frozen=True, slots=True)
class SummariseRoom:
    """One verb."""

    queries: Queries
    local: LocalRooms
    elsewhere: OtherServersSpaces
    resolve: ResolveRoom
    awake: AwakeUsers
    stripped: StrippedStates
    server_name: str

    async def __call__(self, user_id: str | None, room: str, via: Sequence[str]) -> dict[str, Any]:
        """The summary; `user_id` None: nobody we know asks.

        "if the user is already a member of that room", or could be (MSC3266). Raises NotFound, InvalidParam.
        """
        found = await self._find(room)
        reader = await self._reader(user_id)
        shown = await self._local(reader, found.room_id)
        if shown is None:
            shown = await self._remote(reader, found, via)
        if shown is None:
            raise NotFound(NO_SUCH_ROOM)
        if user_id is None:
            return shown.summary()
        own = reader.memberships.get(found.room_id)
        return {**shown.summary(), "membership": "leave" if own is None else own.membership}

    def asks_others(self, room: str, via: Sequence[str]) -> bool:
        """Whether other servers may have to be asked: what the caller lets strangers do only now and then."""
        return bool(via) or not room.endswith(":" + self.server_name)

    async def _find(self, room: str) -> FoundRoom:
        if is_room_id(room):
            return FoundRoom(room, [room.partition(":")[2]])
        if not room.startswith("#"):
            raise InvalidParam("This is neither a room id nor a room alias")
        parse_room_alias(room)
        try:
            return await self.resolve.alias(room)
        except MatrixError as error:
            # "404: The room could not be found", whatever kept its server from answering.
            raise NotFound(NO_SUCH_ROOM) from error

    async def _reader(self, user_id: str | None) -> _Reader:
        if user_id is None:
            return _Reader(None, {}, set())
        return _Reader(user_id, await self.awake.memberships(user_id), await self.awake.joined_room_ids(user_id))

    async def _local(self, reader: _Reader, room_id: str) -> SpaceRoom | None:
        """None where this server is not in the room. Raises NotFound where the reader may not know of it."""
        room = (await self.local.among([room_id])).get(room_id)
        if room is not None and not reader.may_see(room):
            raise NotFound(NO_SUCH_ROOM)
        return room

    async def _remote(self, reader: _Reader, found: FoundRoom, via: Sequence[str]) -> SpaceRoom | None:
        named = dict.fromkeys([*via[:MAX_VIA], *found.servers])
        answer = await self.elsewhere.ask(found.room_id, [name for name in named if is_server_name(name)])
        if answer is not None:
            return answer.room if reader.may_see(answer.room) else None
        return await self._told(reader, found.room_id)

    async def _told(self, reader: _Reader, room_id: str) -> SpaceRoom | None:
        """What came with his invite or knock: "might yield outdated, partial or even no data"."""
        own = reader.memberships.get(room_id)
        if reader.user_id is None or own is None or not own.outside:
            return None
        states = await self.stripped.of_user(self.queries, reader.user_id, [own.room_nid])
        state = states.get(own.room_nid)
        return None if state is None else stripped_room(room_id, state)

"""Which rooms this server is in, and who can be asked about the others."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

import orjson

from homeserver.protocol.errors import NotFound
from homeserver.protocol.identifiers import is_server_name
from homeserver.protocol.room_versions import ROOM_VERSIONS, RoomVersion
from homeserver.services.awake import OUTSIDE, AwakeUsers
from homeserver.services.rooms.live_room import LiveRoom
from homeserver.services.rooms.room_cache import RoomCache
from homeserver.storage.rooms import Rooms
from homeserver.storage.stripped_states import StrippedStates

if TYPE_CHECKING:
    from homeserver.storage.database import Queries

MAX_SERVERS = 20
# Of a room that all of ours have left: some of those who were in it then will still be.
MAX_FORMER_SERVERS = 5


def is_ours(room: LiveRoom) -> bool:
    """Whether somebody of ours is in the room, or nobody at all: then there is no other server to ask either."""
    return room.state.get("m.room.create") is not None and bool(room.joined_local or not room.joined)


@dataclass(frozen=True, slots=True)
class Whereabouts:
    """Four questions."""

    cache: RoomCache
    awake: AwakeUsers
    server_name: str
    queries: Queries
    rooms: Rooms
    stripped: StrippedStates

    async def ours(self, user_id: str, room_id: str) -> LiveRoom | None:
        """The room, if this server may write the user's membership into it; None: others have to be asked."""
        room = await self._known(room_id)
        if room is None or not is_ours(room):
            return None
        if room.joined_local:
            return room
        # Whoever is invited to a room that was empty when we left it has been invited by somebody who is in it now.
        membership = (await self.awake.memberships(user_id)).get(room_id)
        return None if membership is not None and membership.outside else room

    async def version(self, room_id: str) -> RoomVersion | None:
        """The version of a room, by what we know of it."""
        version = await self.rooms.version(self.queries, room_id)
        return None if version is None else ROOM_VERSIONS.get(version)

    async def waits_outside(self, user_id: str, room_id: str) -> bool:
        """Whether the user is invited to a room that this server is not in, or has knocked on it."""
        membership = (await self.awake.memberships(user_id)).get(room_id)
        if membership is None or membership.membership not in OUTSIDE:
            return False
        return await self.ours(user_id, room_id) is None

    async def servers(self, user_id: str, room_id: str, via: Sequence[str]) -> list[str]:
        """Who may know the room, best first, each once.

        The client's choice, then the server of whoever has invited the user, then that in the room's id, which may never
        have been in the room, those that were in it when we were, and those that have made what the user is shown of it.
        """
        membership = (await self.awake.memberships(user_id)).get(room_id)
        inviter = [] if membership is None else [membership.sender.partition(":")[2]]
        in_id = room_id.partition(":")[2]
        room = await self._known(room_id)
        former = [] if room is None else room.servers
        shown = [] if membership is None or not membership.outside else await self._shown(user_id, membership.room_nid)
        return self._usable([*via[:MAX_SERVERS], *inviter, in_id, *islice(former, MAX_FORMER_SERVERS), *shown])

    async def _shown(self, user_id: str, room_nid: int) -> list[str]:
        """Where the state came from that an invitation or the answer to a knock has shown."""
        states = await self.stripped.of_user(self.queries, user_id, [room_nid])
        senders = (event["sender"] for event in orjson.loads(states.get(room_nid, b"[]")))
        return list(dict.fromkeys(sender.partition(":")[2] for sender in senders))[:MAX_FORMER_SERVERS]

    async def _known(self, room_id: str) -> LiveRoom | None:
        try:
            return await self.cache.get(room_id)
        except NotFound:
            return None

    def _usable(self, names: Iterable[str]) -> list[str]:
        found = (name for name in dict.fromkeys(names) if name != self.server_name and is_server_name(name))
        return list(islice(found, MAX_SERVERS))

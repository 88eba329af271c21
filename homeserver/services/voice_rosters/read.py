"""Rosters for those who ask for them once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from homeserver.protocol.errors import Forbidden
from homeserver.services.sight import sight_of
from homeserver.services.visibility import NOT_IN_ROOM

if TYPE_CHECKING:
    from homeserver.services.awake import AwakeUsers
    from homeserver.services.requester import Requester
    from homeserver.services.timeline.open_room import RoomOpener
    from homeserver.services.voice_rosters.rosters import Rosters
    from homeserver.services.voice_rosters.spaces import SpaceChannels


@dataclass(frozen=True, slots=True)
class ReadRosters:
    """For members, and for everybody where everybody may read the room."""

    opener: RoomOpener
    awake: AwakeUsers
    rosters: Rosters
    spaces: SpaceChannels

    async def roster(self, requester: Requester, room_id: str) -> bytes:
        """Who is in the channel, in JSON. Raises Forbidden."""
        await self._check(requester, room_id)
        return self.rosters.content(room_id)

    async def channels(self, requester: Requester, space_id: str) -> dict[str, Any]:
        """Who is in those channels of the space that the requester may see. Raises Forbidden."""
        await self._check(requester, space_id)
        return self.spaces.content(space_id, sight_of(await self.awake.memberships(requester.user_id)))

    async def _check(self, requester: Requester, room_id: str) -> None:
        _, access = await self.opener.access(room_id, requester.user_id)
        # Who has left keeps what he could see then; who is there now is none of it.
        if not (access.joined or access.world_readable):
            raise Forbidden(NOT_IN_ROOM)

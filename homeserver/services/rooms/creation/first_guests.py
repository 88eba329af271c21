"""Users of other servers who are invited into a new room: their servers sign, so the room has to be there first."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass

from homeserver.protocol.errors import Forbidden, MatrixError
from homeserver.services.membership.invitable import Invitable
from homeserver.services.membership.remote import RemoteRooms
from homeserver.services.requester import Requester
from homeserver.services.rooms.creation.first_events import invitation_draft
from homeserver.services.rooms.creation.wishes import RoomWishes

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class InviteToNewRoom:
    """Before the room is made, and afterwards."""

    invitable: Invitable
    remote: RemoteRooms

    async def elsewhere(self, requester: Requester, wishes: RoomWishes) -> list[str]:
        """Users of other servers who are to be invited, each once. Raises InvalidParam, Forbidden, InviteBlocked."""
        await self.invitable.check(requester, wishes.invite)
        found = [user_id for user_id in dict.fromkeys(wishes.invite) if self.invitable.is_elsewhere(user_id)]
        if found and wishes.creation_content.get("m.federate") is False:
            raise Forbidden(f"Only users of this server can be in that room: {found[0]} cannot be invited")
        return found

    async def __call__(self, room_id: str, creator: str, user_ids: Sequence[str], is_direct: bool) -> None:
        """Invite them, one after the other: events built on each other are no forks.

        The room is there, and a server that does not answer makes nobody make it again: its users are not invited, which
        the room's state shows.
        """
        for user_id in user_ids:
            try:
                await self.remote.invite(room_id, invitation_draft(creator, user_id, is_direct))
            except MatrixError as error:
                log.info("%s could not be invited into the new room %s: %s", user_id, room_id, error)

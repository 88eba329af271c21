"""PUT /state/m.room.member/{userId}: the membership endpoints once more, with a content of the client's own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from homeserver.protocol.errors import BadJson, Forbidden, InvalidParam, UserSuspended
from homeserver.protocol.identifiers import is_user_id
from homeserver.services.membership.content import clients_part, membership_of
from homeserver.services.membership.depart import DepartRoom
from homeserver.services.membership.invite import InviteUser
from homeserver.services.membership.join import JoinRoom
from homeserver.services.membership.knock import KnockRoom
from homeserver.services.requester import Requester
from homeserver.services.rooms.room_cache import RoomCache


@dataclass(frozen=True, slots=True)
class SetMembership:
    """Chooses the verb, so that the same rules hold on both ways."""

    cache: RoomCache
    join: JoinRoom
    invite: InviteUser
    knock: KnockRoom
    depart: DepartRoom

    async def __call__(self, requester: Requester, room_id: str, target: str, content: Mapping[str, Any]) -> str:
        """Set a membership; returns the id of the member event. Raises what the verb raises, BadJson, UserSuspended."""
        if not is_user_id(target):
            raise InvalidParam("The state key of m.room.member must be a user id")
        membership = content.get("membership")
        extra = clients_part(content)
        if requester.is_suspended and (membership, target) != ("leave", requester.user_id):
            raise UserSuspended
        if membership in ("join", "knock"):
            if target != requester.user_id:
                raise Forbidden(f"Nobody can {membership} for somebody else")
            verb = self.join if membership == "join" else self.knock
            return await verb(requester, room_id, extra=extra)
        if membership == "invite":
            return await self.invite(requester, room_id, target, extra=extra)
        if membership == "ban":
            return await self.depart.ban(requester, room_id, target, extra=extra)
        if membership == "leave":
            return await self._leave(requester, room_id, target, extra)
        raise BadJson("'membership' must be one of join, invite, knock, leave, ban")

    async def _leave(self, requester: Requester, room_id: str, target: str, extra: Mapping[str, Any]) -> str:
        if target == requester.user_id:
            return await self.depart.leave(requester, room_id, extra=extra)
        room = await self.cache.get(room_id)
        verb = self.depart.unban if membership_of(room, target) == "ban" else self.depart.kick
        return await verb(requester, room_id, target, extra=extra)

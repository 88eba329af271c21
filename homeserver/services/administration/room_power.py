"""People brought into rooms, and power in rooms that have lost it, by an administrator."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from homeserver.protocol.auth import PowerLevels
from homeserver.protocol.errors import Forbidden, InvalidParam, NotFound, UserDeactivated
from homeserver.protocol.identifiers import is_user_id, server_name_of
from homeserver.services.administration.accounts import AccountAdministration
from homeserver.services.administration.rooms import NO_SUCH_ROOM
from homeserver.services.audit.audit_log import AuditLog
from homeserver.services.directory.resolve import ResolveRoom
from homeserver.services.membership.invite import InviteUser
from homeserver.services.membership.join import JoinRoom
from homeserver.services.membership.restricted import join_rules_of
from homeserver.services.requester import Requester, on_behalf_of
from homeserver.services.rooms.live_room import LiveRoom
from homeserver.services.rooms.room_cache import RoomCache
from homeserver.services.rooms.set_state import SetState
from homeserver.storage.administered_rooms import AdministeredRooms, Extremity

if TYPE_CHECKING:
    from homeserver.storage.database import Queries

POWER_LEVELS: Final = "m.room.power_levels"
USUAL_LEVEL: Final = 100


@dataclass(frozen=True, slots=True)
class RoomPower:
    """Everything goes through the ordinary verbs, in the name of somebody whom the room's own rules allow it."""

    queries: Queries
    cache: RoomCache
    rows: AdministeredRooms
    resolve: ResolveRoom
    accounts: AccountAdministration
    join: JoinRoom
    invite: InviteUser
    set_state: SetState
    audit: AuditLog

    async def join_user(self, requester: Requester, room: str, user_id: str, via: Sequence[str]) -> str:
        """A user of this server joins; where the room is not open, the administrator invites him before. The room's id.

        Raises InvalidParam, NotFound, UserDeactivated, and what inviting and joining raise.
        """
        if (await self.accounts.get(user_id)).deactivated:
            raise UserDeactivated
        found = await self.resolve.room(room)
        if await self._needs_invitation(requester, found.room_id, user_id):
            await self.invite(requester, found.room_id, user_id)
        await self.join(on_behalf_of(user_id), found.room_id, via=[*via, *found.servers])
        await self.audit.record(self.queries, requester, "room.join_user", found.room_id, {"user_id": user_id})
        return found.room_id

    async def _needs_invitation(self, requester: Requester, room_id: str, user_id: str) -> bool:
        try:
            room = await self.cache.get(room_id)
        except NotFound:
            return False
        is_open = join_rules_of(room).get("join_rule") == "public"
        invites = requester.user_id in room.joined and requester.user_id != user_id
        return invites and not is_open and room.membership(user_id) not in ("join", "invite")

    async def make_admin(self, requester: Requester, room: str, user_id: str | None) -> None:
        """Give somebody (oneself) the highest level that a member of this server can give, and invite him.

        Raises InvalidParam, NotFound, UserDeactivated; Forbidden where nobody of this server in the room may change levels,
        and for who is banned.
        """
        target = user_id or requester.user_id
        if not is_user_id(target):
            raise InvalidParam("'user_id' is no user id")
        if server_name_of(target) == self.accounts.server_name and (await self.accounts.get(target)).deactivated:
            raise UserDeactivated
        live = await self._room((await self.resolve.room(room)).room_id)
        if live.membership(target) == "ban":
            raise Forbidden("This user is banned from the room")
        giver = _giver(live)
        if giver is None:
            raise Forbidden("Nobody of this server in this room may change power levels")
        content = _raised(live, giver, target)
        if content is not None:
            await self.set_state(on_behalf_of(giver), live.room_id, POWER_LEVELS, "", content)
        if live.membership(target) not in ("join", "invite") and giver != target:
            await self._let_in(live, giver, target)
        details = {"user_id": target, "by": giver}
        await self.audit.record(self.queries, requester, "room.make_admin", live.room_id, details)

    async def _let_in(self, room: LiveRoom, giver: str, target: str) -> None:
        if join_rules_of(room).get("join_rule") != "public":
            await self.invite(on_behalf_of(giver), room.room_id, target)

    async def extremities(self, room: str) -> list[Extremity]:
        """The events to which the next one will be attached. Raises NotFound, InvalidParam."""
        live = await self._room((await self.resolve.room(room)).room_id)
        return await self.rows.extremities(self.queries, live.tip.extremities)

    async def _room(self, room_id: str) -> LiveRoom:
        try:
            return await self.cache.get(room_id)
        except NotFound:
            raise NotFound(NO_SUCH_ROOM) from None


def _giver(room: LiveRoom) -> str | None:
    """The most powerful of this server's members who may change levels."""
    levels = room.power_levels()
    needed = levels.to_send(POWER_LEVELS, is_state=True)
    able = [user_id for user_id in room.joined_local if levels.of_user(user_id) >= needed]
    return max(able, key=lambda user_id: (levels.of_user(user_id), user_id), default=None)


def _raised(room: LiveRoom, giver: str, target: str) -> dict[str, Any] | None:
    """The new content of m.room.power_levels; None where the target has as much already."""
    levels = room.power_levels()
    highest = levels.of_user(giver)
    level = highest if math.isfinite(highest) else _highest_named(levels)
    if levels.of_user(target) >= level:
        return None
    event = room.fetch_auth_event(POWER_LEVELS, "")
    content: Mapping[str, Any] = {} if event is None else event.content
    users = content.get("users") if event is not None else dict.fromkeys({giver} - levels.creators, USUAL_LEVEL)
    return {**content, "users": {**(users if isinstance(users, dict) else {}), target: int(level)}}


def _highest_named(levels: PowerLevels) -> float:
    """Creators (since v12) can be named by no level: whoever may do everything that levels rule has as much."""
    named = (
        *levels.users.values(),
        *levels.events.values(),
        levels.state_default,
        levels.ban,
        levels.kick,
        levels.redact,
        levels.invite,
    )
    return max(USUAL_LEVEL, *(level for level in named if math.isfinite(level)))

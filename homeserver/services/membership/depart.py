"""Leave, kick, ban, unban: what ends or forbids a membership. Each returns the id of the member event."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from homeserver.protocol.builder import EventDraft
from homeserver.protocol.errors import CannotLeaveServerNoticeRoom, Forbidden, MembershipInTheWay
from homeserver.protocol.events import Event
from homeserver.protocol.identifiers import parse_user_id
from homeserver.services.membership.change import ChangeMembership
from homeserver.services.membership.content import check_joined, member_draft, membership_of
from homeserver.services.membership.remote import RemoteRooms
from homeserver.services.membership.whereabouts import Whereabouts
from homeserver.services.requester import Requester
from homeserver.services.rooms.live_room import LiveRoom

_NOTHING: Mapping[str, Any] = {}


@dataclass(frozen=True, slots=True)
class DepartRoom:
    """Four verbs that write one membership event each. `extra`: further keys of its content.

    `notices_user`: whose invitations nobody declines, for he speaks for the server.
    """

    change: ChangeMembership
    whereabouts: Whereabouts
    remote: RemoteRooms
    notices_user: str | None = None

    async def leave(
        self, requester: Requester, room_id: str, *, reason: str | None = None, extra: Mapping[str, Any] = _NOTHING
    ) -> str:
        """Leave a room, decline an invite, or take a knock back; leaving twice changes nothing.

        Raises Forbidden; CannotLeaveServerNoticeRoom for the invitation to the server's notices.
        """
        return await self._leave(requester.user_id, room_id, reason, extra, held_by=self.notices_user)

    async def leave_as(
        self, user_id: str, room_id: str, *, reason: str | None = None, extra: Mapping[str, Any] = _NOTHING
    ) -> str:
        """The same for a user who has no session any more; nothing holds him."""
        return await self._leave(user_id, room_id, reason, extra, held_by=None)

    async def _leave(
        self, user_id: str, room_id: str, reason: str | None, extra: Mapping[str, Any], held_by: str | None
    ) -> str:
        if await self.whereabouts.waits_outside(user_id, room_id):
            content = member_draft(user_id, user_id, "leave", reason=reason, extra=extra).content
            servers = await self.whereabouts.servers(user_id, room_id, ())
            return await self.remote.leave(user_id, room_id, servers, content)

        def change(room: LiveRoom, standing: Event | None) -> EventDraft | None:
            if standing is None:
                raise Forbidden("You are not in this room")
            if standing.membership == "leave":
                return None
            if standing.membership == "invite" and standing.sender == held_by:
                raise CannotLeaveServerNoticeRoom("You cannot reject this invite")
            return member_draft(user_id, user_id, "leave", reason=reason, extra=extra)

        return await self.change(room_id, user_id, change)

    async def kick(
        self,
        requester: Requester,
        room_id: str,
        target: str,
        *,
        reason: str | None = None,
        extra: Mapping[str, Any] = _NOTHING,
    ) -> str:
        """Put a member out, or withdraw an invite."""
        parse_user_id(target)

        def change(room: LiveRoom, standing: Event | None) -> EventDraft:
            check_joined(room, requester.user_id)
            if membership_of(room, target) == "ban":
                raise MembershipInTheWay(f"{target} is banned: lift the ban instead")
            if membership_of(room, target) not in ("join", "invite", "knock"):
                raise Forbidden(f"{target} is not in the room")
            return member_draft(requester.user_id, target, "leave", reason=reason, extra=extra)

        return await self.change(room_id, target, change)

    async def ban(
        self,
        requester: Requester,
        room_id: str,
        target: str,
        *,
        reason: str | None = None,
        extra: Mapping[str, Any] = _NOTHING,
    ) -> str:
        """Ban a user, member or not."""
        parse_user_id(target)
        draft = member_draft(requester.user_id, target, "ban", reason=reason, extra=extra)

        def change(room: LiveRoom, standing: Event | None) -> EventDraft:
            check_joined(room, requester.user_id)
            return draft

        return await self.change(room_id, target, change)

    async def unban(
        self,
        requester: Requester,
        room_id: str,
        target: str,
        *,
        reason: str | None = None,
        extra: Mapping[str, Any] = _NOTHING,
    ) -> str:
        """Lift a ban; the user is then out, not in."""
        parse_user_id(target)

        def change(room: LiveRoom, standing: Event | None) -> EventDraft:
            check_joined(room, requester.user_id)
            if membership_of(room, target) != "ban":
                raise MembershipInTheWay(f"{target} is not banned from the room")
            return member_draft(requester.user_id, target, "leave", reason=reason, extra=extra)

        return await self.change(room_id, target, change)

"""Leave, kick, ban, unban: what ends or forbids a membership."""

from __future__ import annotations

from dataclasses import dataclass

from homeserver.protocol.errors import Forbidden
from homeserver.protocol.identifiers import parse_user_id
from homeserver.services.membership.content import member_draft, membership_of
from homeserver.services.requester import Requester
from homeserver.services.rooms.appender import Appender, Plan
from homeserver.services.rooms.live_room import LiveRoom


@dataclass(frozen=True, slots=True)
class DepartRoom:
    """Four verbs that write one membership event each."""

    appender: Appender

    async def leave(self, requester: Requester, room_id: str, *, reason: str | None = None) -> None:
        """Leave a room, decline an invite, or take a knock back; leaving twice changes nothing."""
        user_id = requester.user_id

        def plan(room: LiveRoom) -> Plan:
            member = room.fetch_auth_event("m.room.member", user_id)
            if member is not None and member.membership == "leave":
                return Plan([])
            if member is None:
                raise Forbidden("You are not in this room")
            return Plan([member_draft(user_id, user_id, "leave", reason=reason)])

        await self.appender.commit(room_id, plan)

    async def kick(self, requester: Requester, room_id: str, target: str, *, reason: str | None = None) -> None:
        """Put a member out, or withdraw an invite."""
        parse_user_id(target)

        def plan(room: LiveRoom) -> Plan:
            membership = membership_of(room, target)
            if membership not in ("join", "invite", "knock"):
                raise Forbidden(f"{target} is not in the room")
            return Plan([member_draft(requester.user_id, target, "leave", reason=reason)])

        await self.appender.commit(room_id, plan)

    async def ban(self, requester: Requester, room_id: str, target: str, *, reason: str | None = None) -> None:
        """Ban a user, member or not."""
        parse_user_id(target)
        draft = member_draft(requester.user_id, target, "ban", reason=reason)
        await self.appender.commit(room_id, lambda room: Plan([draft]))

    async def unban(self, requester: Requester, room_id: str, target: str, *, reason: str | None = None) -> None:
        """Lift a ban; the user is then out, not in."""
        parse_user_id(target)

        def plan(room: LiveRoom) -> Plan:
            if membership_of(room, target) != "ban":
                raise Forbidden(f"{target} is not banned from the room")
            return Plan([member_draft(requester.user_id, target, "leave", reason=reason)])

        await self.appender.commit(room_id, plan)

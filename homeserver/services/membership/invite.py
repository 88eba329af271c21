"""POST /invite: ask somebody in."""

from __future__ import annotations

from dataclasses import dataclass

from homeserver.protocol.errors import Forbidden
from homeserver.protocol.identifiers import parse_user_id
from homeserver.services.membership.content import MemberProfile, ProfileLookup, member_draft, membership_of
from homeserver.services.requester import Requester
from homeserver.services.rooms.appender import Appender, Plan
from homeserver.services.rooms.live_room import LiveRoom


@dataclass(frozen=True, slots=True)
class InviteUser:
    """One verb."""

    appender: Appender
    profiles: ProfileLookup
    server_name: str

    async def __call__(
        self,
        requester: Requester,
        room_id: str,
        target: str,
        *,
        reason: str | None = None,
        is_direct: bool | None = None,
    ) -> None:
        """Invite a user; inviting an invited user again changes nothing. Raises Forbidden, NotFound, InvalidParam."""
        user = parse_user_id(target)
        if user.server_name != self.server_name:
            raise Forbidden(f"This server does not federate: {target} cannot be invited")
        profile = await self.profiles.member_profile(target)
        await self.appender.commit(
            room_id, lambda room: invite_plan(room, requester.user_id, target, profile, reason, is_direct)
        )


def invite_plan(
    room: LiveRoom,
    sender: str,
    target: str,
    profile: MemberProfile,
    reason: str | None,
    is_direct: bool | None,
) -> Plan:
    """The invitation as a plan; empty where the same person has invited the same user already."""
    membership = membership_of(room, target)
    if membership == "join":
        raise Forbidden(f"{target} is in the room already")
    if membership == "ban":
        raise Forbidden(f"{target} is banned from the room")
    standing = room.fetch_auth_event("m.room.member", target)
    if membership == "invite" and standing is not None and standing.sender == sender and reason is None:
        return Plan([])
    return Plan([member_draft(sender, target, "invite", profile, reason, is_direct=is_direct or None)])

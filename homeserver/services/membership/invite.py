"""POST /invite: ask somebody in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from homeserver.protocol.builder import EventDraft
from homeserver.protocol.errors import Forbidden, MembershipInTheWay
from homeserver.protocol.events import Event
from homeserver.services.membership.change import ChangeMembership
from homeserver.services.membership.content import ProfileLookup, check_joined, member_draft
from homeserver.services.membership.invitable import Invitable
from homeserver.services.requester import Requester
from homeserver.services.rooms.live_room import LiveRoom

_NOTHING: Mapping[str, Any] = {}


@dataclass(frozen=True, slots=True)
class InviteUser:
    """One verb."""

    change: ChangeMembership
    profiles: ProfileLookup
    invitable: Invitable

    async def __call__(
        self,
        requester: Requester,
        room_id: str,
        target: str,
        *,
        reason: str | None = None,
        extra: Mapping[str, Any] = _NOTHING,
    ) -> str:
        """Invite a user; inviting an invited user again changes nothing. Returns the id of the member event.

        Raises Forbidden, InviteBlocked, NotFound, InvalidParam.
        """
        await self.invitable.check(requester, [target])
        profile = await self.profiles.member_profile(target)
        draft = member_draft(requester.user_id, target, "invite", profile, reason, extra)

        def change(room: LiveRoom, standing: Event | None) -> EventDraft | None:
            return invitation(room, standing, draft)

        return await self.change(room_id, target, change)


def invitation(room: LiveRoom, standing: Event | None, draft: EventDraft) -> EventDraft | None:
    """The invitation; None where the same person has invited the same user already and says nothing new."""
    check_joined(room, draft.sender)
    membership = None if standing is None else standing.membership
    if membership == "join":
        raise Forbidden(f"{draft.state_key} is in the room already")
    if membership == "ban":
        raise MembershipInTheWay(f"{draft.state_key} is banned from the room")
    if membership == "invite" and standing is not None and standing.sender == draft.sender:
        return None if "reason" not in draft.content else draft
    return draft

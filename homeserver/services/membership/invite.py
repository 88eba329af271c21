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
from homeserver.services.membership.remote import RemoteRooms
from homeserver.services.requester import Requester
from homeserver.services.rooms.blocked_rooms import BlockedRooms
from homeserver.services.rooms.live_room import LiveRoom
from homeserver.services.rooms.room_cache import RoomCache

_NOTHING: Mapping[str, Any] = {}


@dataclass(frozen=True, slots=True)
class InviteUser:
    """One verb."""

    change: ChangeMembership
    profiles: ProfileLookup
    invitable: Invitable
    cache: RoomCache
    remote: RemoteRooms
    blocked: BlockedRooms

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

        Raises Forbidden, InviteBlocked, NotFound, InvalidParam; for users of other servers what `RemoteRooms` raises.
        """
        self.blocked.check(room_id)
        await self.invitable.check(requester, [target])
        profile = await self.profiles.member_profile(target)
        draft = member_draft(requester.user_id, target, "invite", profile, reason, extra)

        if self.invitable.is_elsewhere(target):
            return await self._elsewhere(room_id, draft)

        def change(room: LiveRoom, standing: Event | None) -> EventDraft | None:
            return invitation(room, standing, draft)

        return await self.change(room_id, target, change)

    async def _elsewhere(self, room_id: str, draft: EventDraft) -> str:
        assert draft.state_key is not None
        room = await self.cache.get(room_id)
        standing = room.fetch_auth_event("m.room.member", draft.state_key)
        wanted = invitation(room, standing, draft)
        if wanted is None or (standing is not None and wanted.repeats(standing)):
            # They are invited already, and their server has signed that.
            assert standing is not None
            return standing.event_id
        check_federates(room)
        return await self.remote.invite(room_id, wanted)


def check_federates(room: LiveRoom) -> None:
    """Raises Forbidden for rooms that were made for users of one server only (`m.federate`)."""
    create = room.state.get("m.room.create")
    if create is not None and create.content.get("m.federate") is False:
        raise Forbidden("Only users of the server that has made this room can be in it")


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

"""POST /knock: ask to be let in (room versions 7 and later)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from homeserver.services.membership.change import ChangeMembership
from homeserver.services.membership.content import ProfileLookup, member_draft
from homeserver.services.membership.remote import RemoteRooms
from homeserver.services.membership.whereabouts import Whereabouts
from homeserver.services.requester import Requester
from homeserver.services.rooms.blocked_rooms import BlockedRooms

_NOTHING: Mapping[str, Any] = {}


@dataclass(frozen=True, slots=True)
class KnockRoom:
    """One verb."""

    change: ChangeMembership
    profiles: ProfileLookup
    whereabouts: Whereabouts
    remote: RemoteRooms
    blocked: BlockedRooms

    async def __call__(
        self,
        requester: Requester,
        room_id: str,
        *,
        reason: str | None = None,
        extra: Mapping[str, Any] = _NOTHING,
        via: Sequence[str] = (),
    ) -> str:
        """Knock; the auth rules say who may (rule 5.7). Returns the id of the member event.

        `via`: servers that may know the room, where this one is not in it.
        """
        self.blocked.check(room_id)
        user_id = requester.user_id
        profile = await self.profiles.member_profile(user_id)
        draft = member_draft(user_id, user_id, "knock", profile, reason, extra)
        if await self.whereabouts.ours(user_id, room_id) is None:
            servers = await self.whereabouts.servers(user_id, room_id, via)
            return await self.remote.knock(user_id, room_id, servers, draft.content)
        return await self.change(room_id, user_id, lambda room, standing: draft)

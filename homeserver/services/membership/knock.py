"""POST /knock: ask to be let in (room versions 7 and later)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from homeserver.services.membership.change import ChangeMembership
from homeserver.services.membership.content import ProfileLookup, member_draft
from homeserver.services.requester import Requester

_NOTHING: Mapping[str, Any] = {}


@dataclass(frozen=True, slots=True)
class KnockRoom:
    """One verb."""

    change: ChangeMembership
    profiles: ProfileLookup

    async def __call__(
        self, requester: Requester, room_id: str, *, reason: str | None = None, extra: Mapping[str, Any] = _NOTHING
    ) -> str:
        """Knock; the auth rules say who may (rule 5.7). Returns the id of the member event."""
        user_id = requester.user_id
        profile = await self.profiles.member_profile(user_id)
        draft = member_draft(user_id, user_id, "knock", profile, reason, extra)
        return await self.change(room_id, user_id, lambda room, standing: draft)

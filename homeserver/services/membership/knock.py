"""POST /knock: ask to be let in (room versions 7 and later)."""

from __future__ import annotations

from dataclasses import dataclass

from homeserver.services.membership.content import ProfileLookup, member_draft
from homeserver.services.requester import Requester
from homeserver.services.rooms.appender import Appender, Plan


@dataclass(frozen=True, slots=True)
class KnockRoom:
    """One verb."""

    appender: Appender
    profiles: ProfileLookup

    async def __call__(self, requester: Requester, room_id: str, *, reason: str | None = None) -> str:
        """Knock; the auth rules say who may (rule 5.7). Returns the room id."""
        user_id = requester.user_id
        profile = await self.profiles.member_profile(user_id)
        draft = member_draft(user_id, user_id, "knock", profile, reason)
        await self.appender.commit(room_id, lambda room: Plan([draft]))
        return room_id

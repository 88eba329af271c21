"""Names and avatars for member events, read from the profiles of local users."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from homeserver.services.membership.content import MemberProfile
from homeserver.storage.profiles import ProfileRows

if TYPE_CHECKING:
    from homeserver.storage.database import Queries

NO_PROFILE = MemberProfile()


@dataclass(frozen=True, slots=True)
class MemberProfiles:
    """What a member event says of users; one statement, however many they are."""

    queries: Queries
    rows: ProfileRows

    async def member_profiles(self, user_ids: Iterable[str]) -> dict[str, MemberProfile]:
        """Profiles by user id; users without one are left out."""
        stored = await self.rows.of_users(self.queries, set(user_ids))
        return {user_id: MemberProfile(row.displayname, row.avatar_url) for user_id, row in stored.items()}

    async def member_profile(self, user_id: str) -> MemberProfile:
        """The profile; empty where there is none."""
        return (await self.member_profiles([user_id])).get(user_id, NO_PROFILE)

"""Profiles of local users: display name, avatar, and any other field as one JSON object."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from homeserver.storage.database import Queries

# A deactivated account keeps what other people see of it, unless it was erased (then the columns are empty).
BY_USER = "SELECT displayname, avatar_url, fields FROM profiles WHERE user_id = $1"

LOCK = BY_USER + " FOR UPDATE"

BY_USERS = "SELECT user_id, displayname, avatar_url, fields FROM profiles WHERE user_id = ANY($1)"

UPDATE = "UPDATE profiles SET displayname = $2, avatar_url = $3, fields = $4 WHERE user_id = $1"


@dataclass(frozen=True, slots=True)
class StoredProfile:
    """`fields` is a JSON object with everything but display name and avatar."""

    displayname: str | None
    avatar_url: str | None
    fields: bytes


class ProfileRows:
    """Queries over profiles. They are made with their account (`Users.create`)."""

    async def get(self, q: Queries, user_id: str) -> StoredProfile | None:
        """The profile; None where there is no such local user."""
        row = await q.fetchrow(BY_USER, user_id)
        return StoredProfile(*row) if row else None

    async def lock(self, q: Queries, user_id: str) -> StoredProfile | None:
        """The profile, held against other changes until the transaction ends."""
        row = await q.fetchrow(LOCK, user_id)
        return StoredProfile(*row) if row else None

    async def of_users(self, q: Queries, user_ids: Collection[str]) -> dict[str, StoredProfile]:
        """Profiles of many users, by user id."""
        return {row[0]: StoredProfile(*row[1:]) for row in await q.fetch(BY_USERS, list(user_ids))}

    async def update(self, q: Queries, user_id: str, profile: StoredProfile) -> None:
        """Replace the profile."""
        await q.execute(UPDATE, user_id, profile.displayname, profile.avatar_url, profile.fields)

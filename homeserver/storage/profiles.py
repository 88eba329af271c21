"""Profiles of local users: display name, avatar, and any other field as one JSON object."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from asyncpg import Record

    from homeserver.storage.database import Queries

# A deactivated account keeps what other people see of it, unless it was erased (then the columns are empty).
BY_USER = "SELECT displayname, avatar_url, fields FROM profiles WHERE user_id = $1"

LOCK = BY_USER + " FOR UPDATE"

BY_USERS = "SELECT user_id, displayname, avatar_url, fields FROM profiles WHERE user_id = ANY($1)"

# Changes of fields under ever new names are forgotten, the oldest first: who was away for so long does not learn that one went.
UPDATE = """
WITH forgotten AS (
    DELETE FROM profile_changes WHERE user_id = $1 AND field IN (
        SELECT field FROM profile_changes WHERE user_id = $1 AND field <> ALL($5::text[]) ORDER BY position DESC OFFSET $7
    )
), noted AS (
    INSERT INTO profile_changes (user_id, field, position) SELECT $1, each, $6 FROM unnest($5::text[]) AS each
    ON CONFLICT (user_id, field) DO UPDATE SET position = excluded.position
)
UPDATE profiles SET displayname = $2, avatar_url = $3, fields = $4 WHERE user_id = $1
"""

CHANGED = """
SELECT user_id, field FROM profile_changes WHERE position > $1 AND position <= $2 ORDER BY position DESC LIMIT $3
"""

MAX_CHANGES_OF_USER = 1_000

# $2: whether those count who have nothing but a name and an avatar. $4: bytes of fields in all.
OF_MEMBERS = """
SELECT user_id, displayname, avatar_url, fields FROM (
    SELECT p.user_id, p.displayname, p.avatar_url, p.fields,
           sum(octet_length(p.fields)) OVER (ROWS UNBOUNDED PRECEDING) AS bytes
    FROM profiles p
    WHERE ($2 OR p.fields <> '{}') AND EXISTS (
        SELECT FROM memberships m WHERE m.user_id = p.user_id AND m.room_nid = ANY($1) AND m.membership = 'join'
    )
    LIMIT $3
) AS members WHERE bytes <= $4
"""


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

    async def update(
        self, q: Queries, user_id: str, profile: StoredProfile, changed: Collection[str] = (), position: int = 0
    ) -> None:
        """Replace the profile, of which these fields changed at this position of the stream of account data.

        Without `changed` nobody hears of it but by member events.
        """
        values = (profile.displayname, profile.avatar_url, profile.fields)
        await q.execute(UPDATE, user_id, *values, list(changed), position, MAX_CHANGES_OF_USER)

    async def changed(self, q: Queries, since: int, to: int, limit: int) -> list[Record]:
        """(user_id, field) of what changed last in `(since, to]`, newest first."""
        return await q.fetch(CHANGED, since, to, limit)

    async def of_members(
        self, q: Queries, room_nids: Collection[int], *, named: bool, limit: int, max_bytes: int
    ) -> dict[str, StoredProfile]:
        """Profiles of this server's members of any of the rooms; `named`: also those with no more than name and avatar."""
        rows = await q.fetch(OF_MEMBERS, list(room_nids), named, limit, max_bytes)
        return {row[0]: StoredProfile(*row[1:]) for row in rows}

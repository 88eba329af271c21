"""Table `external_ids`: which account is whose, as providers call people."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import orjson

if TYPE_CHECKING:
    from homeserver.storage.database import Queries

OWNER = "SELECT user_id FROM external_ids WHERE provider = $1 AND external_id = $2"

ADD = """
INSERT INTO external_ids (provider, external_id, user_id, made_by, created_ms, last_ms, groups)
VALUES ($1, $2, $3, $4, $5, $5, $6::jsonb) ON CONFLICT DO NOTHING RETURNING true
"""

SEEN = """
UPDATE external_ids SET last_ms = $3, groups = $4::jsonb WHERE provider = $1 AND external_id = $2 RETURNING user_id
"""

OF_USER = """
SELECT provider, external_id, made_by, created_ms, last_ms, groups FROM external_ids
WHERE user_id = $1 ORDER BY created_ms, provider, external_id
"""

WITH_PROVIDER = """
SELECT user_id, groups FROM external_ids WHERE provider = $1 AND user_id > $2 ORDER BY user_id LIMIT $3
"""

# Whom a directory ("ldap") knows proves himself with its password.
WAYS_IN = """
SELECT password_hash IS NOT NULL
           OR EXISTS (SELECT FROM external_ids e WHERE e.user_id = u.user_id AND e.provider = 'ldap'),
       EXISTS (SELECT FROM external_ids e WHERE e.user_id = u.user_id AND e.provider <> 'ldap')
FROM users u WHERE user_id = $1
"""

# An administrator writes all of an account's at once; those that stay keep what is known of them.
TAKEN = """
SELECT e.external_id FROM external_ids e
JOIN unnest($2::text[], $3::text[]) AS w(provider, external_id) USING (provider, external_id)
WHERE e.user_id <> $1 LIMIT 1
"""

REPLACE = """
WITH wanted AS (SELECT * FROM unnest($2::text[], $3::text[]) AS w(provider, external_id)), gone AS (
    DELETE FROM external_ids e WHERE e.user_id = $1
    AND NOT EXISTS (SELECT FROM wanted w WHERE w.provider = e.provider AND w.external_id = e.external_id)
)
INSERT INTO external_ids (provider, external_id, user_id, made_by, created_ms, last_ms)
SELECT provider, external_id, $1, 'admin', $4, $4 FROM wanted ON CONFLICT DO NOTHING
"""

REMOVE = "DELETE FROM external_ids WHERE user_id = $1 AND provider = $2 AND external_id = $3 RETURNING true"


@dataclass(frozen=True, slots=True)
class ExternalId:
    """Of one account. `groups`: what the provider said last; None where it says nothing about groups."""

    provider: str
    external_id: str
    made_by: str
    created_ms: int
    last_ms: int
    groups: tuple[str, ...] | None


@dataclass(frozen=True, slots=True)
class WaysIn:
    """To one account."""

    has_password: bool
    has_provider: bool


class ExternalIdRows:
    """Queries over external ids."""

    async def owner(self, q: Queries, provider: str, external_id: str) -> str | None:
        """The account of this person; None where he has none."""
        user_id: str | None = await q.fetchval(OWNER, provider, external_id)
        return user_id

    async def add(
        self,
        q: Queries,
        provider: str,
        external_id: str,
        user_id: str,
        made_by: str,
        now_ms: int,
        groups: Sequence[str] | None,
    ) -> bool:
        """False where this person has an account already."""
        added = await q.fetchval(ADD, provider, external_id, user_id, made_by, now_ms, _written(groups))
        return added is not None

    async def seen(
        self, q: Queries, provider: str, external_id: str, now_ms: int, groups: Sequence[str] | None
    ) -> str | None:
        """He signed in: the account that is his, in one statement; None where he has none."""
        user_id: str | None = await q.fetchval(SEEN, provider, external_id, now_ms, _written(groups))
        return user_id

    async def of_user(self, q: Queries, user_id: str) -> list[ExternalId]:
        """Oldest first."""
        rows = await q.fetch(OF_USER, user_id)
        return [ExternalId(row[0], row[1], row[2], row[3], row[4], _read(row[5])) for row in rows]

    async def with_provider(
        self, q: Queries, provider: str, after: str, limit: int
    ) -> list[tuple[str, tuple[str, ...] | None]]:
        """Accounts and what the provider said last of their groups, page by page in the order of user ids."""
        return [(row[0], _read(row[1])) for row in await q.fetch(WITH_PROVIDER, provider, after, limit)]

    async def ways_in(self, q: Queries, user_id: str) -> WaysIn:
        """How somebody signs in to this account."""
        row = await q.fetchrow(WAYS_IN, user_id)
        return WaysIn(False, False) if row is None else WaysIn(row[0], row[1])

    async def taken(self, q: Queries, user_id: str, wanted: Sequence[tuple[str, str]]) -> str | None:
        """One of these that is another account's."""
        found: str | None = await q.fetchval(TAKEN, user_id, *_columns(wanted))
        return found

    async def replace(self, q: Queries, user_id: str, wanted: Sequence[tuple[str, str]], now_ms: int) -> None:
        """The account has these, and no others: provider and external id."""
        await q.execute(REPLACE, user_id, *_columns(wanted), now_ms)

    async def remove(self, q: Queries, user_id: str, provider: str, external_id: str) -> bool:
        """False where it was not there."""
        return bool(await q.fetchval(REMOVE, user_id, provider, external_id))


def _columns(pairs: Sequence[tuple[str, str]]) -> tuple[list[str], list[str]]:
    return [provider for provider, _ in pairs], [external_id for _, external_id in pairs]


def _written(groups: Sequence[str] | None) -> str | None:
    return None if groups is None else orjson.dumps(list(groups)).decode()


def _read(groups: str | None) -> tuple[str, ...] | None:
    return None if groups is None else tuple(orjson.loads(groups))

"""Table `account_data`: what clients keep on the server, global (room_id '') or of one room."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from asyncpg import Record

    from homeserver.storage.database import Queries

EVERYWHERE = ""
"""As a room id: global account data."""

# Push rules are account data to clients, so both tables share one stream.
GET = "SELECT content, position, deleted FROM account_data WHERE user_id = $1 AND room_id = $2 AND type = $3"

# Only while the user has fewer than $6 others, and not more than $7 bytes with them; one that was overtaken by a later
# write is not written.
PUT = """
WITH others AS (
    SELECT count(*) AS entries, coalesce(sum(octet_length(content)), 0) AS bytes
    FROM account_data WHERE user_id = $1 AND (room_id, type) <> ($2, $3)
)
INSERT INTO account_data AS a (user_id, room_id, type, content, position)
SELECT $1, $2, $3, $4, $5 FROM others WHERE entries < $6 AND bytes + octet_length($4::bytea) <= $7
ON CONFLICT (user_id, room_id, type) DO UPDATE
SET content = CASE WHEN a.position < excluded.position THEN excluded.content ELSE a.content END,
    position = greatest(a.position, excluded.position), deleted = a.deleted AND a.position > excluded.position
RETURNING true
"""

# Compared with what the caller saw ($6: the position of that, 0 if there was nothing), so that no change gets lost.
REPLACE = """
INSERT INTO account_data AS a (user_id, room_id, type, content, position)
SELECT $1, $2, $3, $4, $5
WHERE $6::bigint > 0 OR (SELECT count(*) FROM account_data WHERE user_id = $1) < $7
ON CONFLICT (user_id, room_id, type) DO UPDATE
SET content = excluded.content, position = excluded.position, deleted = false
WHERE a.position = $6
RETURNING true
"""

DELETE = """
UPDATE account_data SET content = '{}', position = $4, deleted = true
WHERE user_id = $1 AND room_id = $2 AND type = $3 AND NOT deleted AND position < $4
RETURNING true
"""

# Global entries; $2 types and $3 a position for each.
DELETE_MANY = """
UPDATE account_data a SET content = '{}', position = d.position, deleted = true
FROM unnest($2::text[], $3::bigint[]) AS d(type, position)
WHERE a.user_id = $1 AND a.room_id = '' AND a.type = d.type AND NOT a.deleted AND a.position < d.position
RETURNING a.type
"""

# The newest row stays without what it said, so that its position is not used again.
FORGET = """
WITH newest AS (SELECT max(position) AS position FROM account_data WHERE user_id = $1),
gone AS (DELETE FROM account_data a USING newest n WHERE a.user_id = $1 AND a.position <> n.position)
UPDATE account_data a SET room_id = '', type = '', content = '{}', deleted = true
FROM newest n WHERE a.user_id = $1 AND a.position = n.position
"""

# m.fully_read, never backwards: $6 is the position of the event that it is moved to.
ADVANCE = """
INSERT INTO account_data AS a (user_id, room_id, type, content, position) VALUES ($1, $2, $3, $4, $5)
ON CONFLICT (user_id, room_id, type) DO UPDATE SET content = excluded.content, position = excluded.position
WHERE NOT EXISTS (
    SELECT FROM events e
    WHERE e.event_id = convert_from(a.content, 'UTF8')::json ->> 'event_id' AND e.position >= $6
)
RETURNING true
"""

OF_USERS = """
SELECT user_id, content FROM account_data WHERE user_id = ANY($1::text[]) AND room_id = $2 AND type = $3
"""

TYPES_OF_USERS = """
SELECT user_id, type, content FROM account_data
WHERE user_id = ANY($1::text[]) AND room_id = '' AND type = ANY($2::text[]) AND NOT deleted
"""

OF_USER = "SELECT room_id, type, content FROM account_data WHERE user_id = $1 AND NOT deleted"

OF_ROOMS = """
SELECT room_id, type, content FROM account_data
WHERE user_id = $1 AND room_id = ANY($2::text[]) AND room_id <> '' AND NOT deleted
"""

CHANGED = """
SELECT room_id, type, content FROM account_data
WHERE user_id = $1 AND position > $2 AND position <= $3 ORDER BY position
"""


class Stored(NamedTuple):
    """An entry; the content of a deleted one is an empty object."""

    content: bytes
    position: int
    deleted: bool


@dataclass(frozen=True, slots=True)
class AccountDataLimits:
    """How much one user may have, in all rooms together. `total_bytes`: of contents."""

    entries: int
    total_bytes: int


class AccountDataRows:
    """Statements over account_data."""

    async def get(self, q: Queries, user_id: str, room_id: str, event_type: str) -> Stored | None:
        """One entry, also one that was deleted."""
        row = await q.fetchrow(GET, user_id, room_id, event_type)
        return None if row is None else Stored(*row)

    async def put(
        self,
        q: Queries,
        user_id: str,
        room_id: str,
        event_type: str,
        content: bytes,
        position: int,
        limits: AccountDataLimits,
    ) -> bool:
        """Set an entry; False where that would be too much."""
        row = await q.fetchval(PUT, user_id, room_id, event_type, content, position, limits.entries, limits.total_bytes)
        return row is not None

    async def replace(
        self,
        q: Queries,
        user_id: str,
        room_id: str,
        event_type: str,
        content: bytes,
        position: int,
        before: int,
        maximum: int,
    ) -> bool:
        """Set an entry if it still is as at position `before` (0: there is none); False if it is not, or too many."""
        row = await q.fetchval(REPLACE, user_id, room_id, event_type, content, position, before, maximum)
        return row is not None

    async def delete(self, q: Queries, user_id: str, room_id: str, event_type: str, position: int) -> bool:
        """Delete an entry; False where there is none."""
        return await q.fetchval(DELETE, user_id, room_id, event_type, position) is not None

    async def delete_many(self, q: Queries, user_id: str, types: Sequence[str], positions: Sequence[int]) -> set[str]:
        """Delete global entries, each at its position; the types of those that were there."""
        return {row[0] for row in await q.fetch(DELETE_MANY, user_id, types, positions)}

    async def forget(self, q: Queries, user_id: str) -> None:
        """Everything of a user who is gone. Nobody is told: none of his devices is left."""
        await q.execute(FORGET, user_id)

    async def advance(
        self,
        q: Queries,
        user_id: str,
        room_id: str,
        event_type: str,
        content: bytes,
        position: int,
        event_position: int,
    ) -> bool:
        """Set an entry whose content names an event, unless it names one that is as new already."""
        row = await q.fetchval(ADVANCE, user_id, room_id, event_type, content, position, event_position)
        return row is not None

    async def of_users(self, q: Queries, user_ids: Collection[str], room_id: str, event_type: str) -> dict[str, bytes]:
        """The same entry of many users; those who have none are left out."""
        return {row[0]: row[1] for row in await q.fetch(OF_USERS, list(user_ids), room_id, event_type)}

    async def types_of_users(
        self, q: Queries, user_ids: Collection[str], event_types: Collection[str]
    ) -> dict[str, dict[str, bytes]]:
        """By user, his global entries of these types."""
        found: dict[str, dict[str, bytes]] = {}
        for user_id, event_type, content in await q.fetch(TYPES_OF_USERS, list(user_ids), list(event_types)):
            found.setdefault(user_id, {})[event_type] = content
        return found

    async def of_rooms(self, q: Queries, user_id: str, room_ids: Collection[str]) -> list[Record]:
        """(room_id, type, content) of all of the user's entries for these rooms."""
        return await q.fetch(OF_ROOMS, user_id, list(room_ids))

    async def of_user(self, q: Queries, user_id: str) -> list[Record]:
        """(room_id, type, content) of everything the user has."""
        return await q.fetch(OF_USER, user_id)

    async def changed(self, q: Queries, user_id: str, since: int, to: int) -> list[Record]:
        """(room_id, type, content) of what was set in `(since, to]`, oldest first."""
        return await q.fetch(CHANGED, user_id, since, to)

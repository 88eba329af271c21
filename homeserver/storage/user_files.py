"""Files by the users who uploaded them, for administrators."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from homeserver.storage.database import Queries

ORDERS = {
    "media_id": "media_id",
    "upload_name": "file_name",
    "created_ts": "created_ms",
    "last_access_ts": "last_access_ms",
    "media_length": "size",
    "media_type": "content_type",
    "quarantined_by": "quarantined_by",
    "safe_from_quarantine": "protected",
}
"""By the names that administrators use. All but `created_ts` sort everything the user has uploaded."""

OF_USER = """
SELECT m.media_id, m.created_ms, m.last_access_ms, m.size, m.content_type, m.file_name, m.protected,
    (SELECT min(q.quarantined_by) FROM quarantined_media q WHERE q.sha256 = m.sha256) AS quarantined_by
FROM media m WHERE m.user_id = $1 AND m.size IS NOT NULL
ORDER BY {order} {direction}, m.media_id LIMIT $2 OFFSET $3
"""

COUNT = "SELECT count(*) FROM media WHERE user_id = $1 AND size IS NOT NULL"

USAGE_ORDERS = {
    "user_id": "user_id",
    "displayname": "lower(displayname)",
    "media_length": "length",
    "media_count": "files",
}

# Of those who have uploaded anything in that time. Pictures of web pages (services/previews) are nobody's.
USAGE = """
SELECT m.user_id, p.displayname, count(*) AS files, sum(m.size)::bigint AS length, count(*) OVER () AS users
FROM media m LEFT JOIN profiles p ON p.user_id = m.user_id
WHERE m.size IS NOT NULL AND m.user_id <> '' AND m.created_ms >= $1 AND m.created_ms <= $2
  AND ($3::text IS NULL OR strpos(substr(split_part(m.user_id, ':', 1), 2), lower($3)) > 0
       OR strpos(lower(p.displayname), lower($3)) > 0)
GROUP BY m.user_id, p.displayname
"""

USAGE_PAGE = f"{USAGE} ORDER BY {{order}} {{direction}}, user_id LIMIT $4 OFFSET $5"

USERS_WITH_FILES = f"SELECT count(*) FROM ({USAGE}) AS usage"


@dataclass(frozen=True, slots=True)
class UserFile:
    """One complete file."""

    media_id: str
    created_ms: int
    last_access_ms: int | None
    size: int
    content_type: str | None
    file_name: str | None
    protected: bool
    quarantined_by: str | None


@dataclass(frozen=True, slots=True)
class Usage:
    """What one user has uploaded, in bytes and files."""

    user_id: str
    displayname: str | None
    files: int
    length: int


@dataclass(frozen=True, slots=True)
class UsageFilter:
    """Files of a time, and of users whose localpart or display name has the term in it."""

    since_ms: int
    until_ms: int
    search_term: str | None


class UserFileRows:
    """Queries over files of this server."""

    async def of_user(
        self, q: Queries, user_id: str, order: str, *, descending: bool, limit: int, offset: int
    ) -> list[UserFile]:
        """A page. `order`: a name in `ORDERS`."""
        sql = OF_USER.format(order=ORDERS[order], direction="DESC" if descending else "ASC")
        return [UserFile(*row) for row in await q.fetch(sql, user_id, limit, offset)]

    async def count(self, q: Queries, user_id: str) -> int:
        """How many files the user has."""
        number: int = await q.fetchval(COUNT, user_id)
        return number

    async def usage(
        self, q: Queries, wanted: UsageFilter, order: str, *, descending: bool, limit: int, offset: int
    ) -> tuple[list[Usage], int]:
        """A page, and how many users there are. `order`: a name in `USAGE_ORDERS`."""
        asked = (wanted.since_ms, wanted.until_ms, wanted.search_term)
        sql = USAGE_PAGE.format(order=USAGE_ORDERS[order], direction="DESC" if descending else "ASC")
        rows = await q.fetch(sql, *asked, limit, offset)
        total = rows[0]["users"] if rows else await q.fetchval(USERS_WITH_FILES, *asked)
        return [Usage(*row[:4]) for row in rows], total

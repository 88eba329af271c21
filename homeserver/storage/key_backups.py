"""Tables `key_backup_versions` and `key_backup_keys`: encrypted copies of room keys."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from homeserver.storage.database import Queries

CREATE_VERSION = """
INSERT INTO key_backup_versions (user_id, version, algorithm, auth_data)
SELECT $1, coalesce(max(version), 0) + 1, $2, $3 FROM key_backup_versions WHERE user_id = $1
RETURNING version
"""

# The users row serialises two creations by one user: without it both would compute the same number.
LOCK_USER = "SELECT FROM users WHERE user_id = $1 FOR NO KEY UPDATE"

CURRENT_VERSION = """
SELECT version, algorithm, auth_data, etag, key_count FROM key_backup_versions
WHERE user_id = $1 AND NOT deleted ORDER BY version DESC LIMIT 1
"""

VERSION = """
SELECT version, algorithm, auth_data, etag, key_count FROM key_backup_versions
WHERE user_id = $1 AND version = $2 AND NOT deleted
"""

UPDATE_AUTH_DATA = """
UPDATE key_backup_versions SET auth_data = $3 WHERE user_id = $1 AND version = $2 AND NOT deleted
"""

DELETE_VERSION = """
WITH keys AS (DELETE FROM key_backup_keys WHERE user_id = $1 AND version = $2)
UPDATE key_backup_versions SET deleted = true, auth_data = '{}', key_count = 0 WHERE user_id = $1 AND version = $2
"""

# Writing into a version is done one request after the other; the answer also says which version is the current one.
LOCK_VERSION = """
SELECT v.version, v.algorithm, v.auth_data, v.etag, v.key_count,
       (SELECT max(version) FROM key_backup_versions WHERE user_id = $1 AND NOT deleted) AS current
FROM key_backup_versions v WHERE v.user_id = $1 AND v.version = $2 AND NOT v.deleted FOR UPDATE
"""

# "Server-side key backups": a verified key wins, then the lower first_message_index, then the lower forwarded_count.
STORE_KEYS = """
WITH stored AS (
    INSERT INTO key_backup_keys AS k
        (user_id, version, room_id, session_id, first_message_index, forwarded_count, is_verified, session_data)
    SELECT $1, $2, * FROM unnest($3::text[], $4::text[], $5::bigint[], $6::bigint[], $7::boolean[], $8::bytea[])
    ON CONFLICT (user_id, version, room_id, session_id) DO UPDATE
    SET first_message_index = excluded.first_message_index, forwarded_count = excluded.forwarded_count,
        is_verified = excluded.is_verified, session_data = excluded.session_data
    WHERE (NOT excluded.is_verified, excluded.first_message_index, excluded.forwarded_count)
        < (NOT k.is_verified, k.first_message_index, k.forwarded_count)
    RETURNING (k.xmax = 0) AS is_new
)
UPDATE key_backup_versions
SET etag = etag + (SELECT count(*) FROM (SELECT FROM stored LIMIT 1) AS any_stored),
    key_count = key_count + (SELECT count(*) FROM stored WHERE is_new)
WHERE user_id = $1 AND version = $2
RETURNING etag, key_count
"""

DELETE_KEYS = """
WITH deleted AS (
    DELETE FROM key_backup_keys
    WHERE user_id = $1 AND version = $2 AND ($3::text IS NULL OR room_id = $3) AND ($4::text IS NULL OR session_id = $4)
    RETURNING 1
)
UPDATE key_backup_versions
SET etag = etag + (SELECT count(*) FROM (SELECT FROM deleted LIMIT 1) AS any_deleted),
    key_count = key_count - (SELECT count(*) FROM deleted)
WHERE user_id = $1 AND version = $2
RETURNING etag, key_count
"""

# Read together with the version: a left join gives one row of NULLs for a backup that exists and is empty.
KEYS = """
SELECT k.room_id, k.session_id, k.first_message_index, k.forwarded_count, k.is_verified, k.session_data
FROM key_backup_versions v
LEFT JOIN key_backup_keys k ON k.user_id = v.user_id AND k.version = v.version
    AND ($3::text IS NULL OR k.room_id = $3) AND ($4::text IS NULL OR k.session_id = $4)
WHERE v.user_id = $1 AND v.version = $2 AND NOT v.deleted
"""

DELETE_ALL = """
WITH keys AS (DELETE FROM key_backup_keys WHERE user_id = $1)
UPDATE key_backup_versions SET deleted = true, auth_data = '{}', key_count = 0 WHERE user_id = $1
"""

HAS_VERSION = "SELECT EXISTS (SELECT FROM key_backup_versions WHERE user_id = $1 AND version = $2)"


@dataclass(frozen=True, slots=True)
class BackupVersion:
    """One version of a user's backup. `auth_data`: JSON."""

    version: int
    algorithm: str
    auth_data: bytes
    etag: int
    key_count: int


@dataclass(frozen=True, slots=True)
class BackedUpKey:
    """One session's key. `session_data`: JSON, encrypted by the client."""

    room_id: str
    session_id: str
    first_message_index: int
    forwarded_count: int
    is_verified: bool
    session_data: bytes


@dataclass(frozen=True, slots=True)
class BackupState:
    """What a client compares to notice that another one changed the backup."""

    etag: int
    key_count: int


class KeyBackups:
    """Statements over key backups. Room and session None mean all of them."""

    async def create_version(self, tx: Queries, user_id: str, algorithm: str, auth_data: bytes) -> int:
        """Add a version; its number is one above all the user ever had. Within a transaction."""
        await tx.execute(LOCK_USER, user_id)
        version: int = await tx.fetchval(CREATE_VERSION, user_id, algorithm, auth_data)
        return version

    async def current(self, q: Queries, user_id: str) -> BackupVersion | None:
        """The newest version that is not deleted."""
        row = await q.fetchrow(CURRENT_VERSION, user_id)
        return BackupVersion(*row) if row else None

    async def version(self, q: Queries, user_id: str, version: int) -> BackupVersion | None:
        """One version, unless deleted."""
        row = await q.fetchrow(VERSION, user_id, version)
        return BackupVersion(*row) if row else None

    async def ever_had(self, q: Queries, user_id: str, version: int) -> bool:
        """Whether there is or was such a version."""
        known: bool = await q.fetchval(HAS_VERSION, user_id, version)
        return known

    async def lock_version(self, tx: Queries, user_id: str, version: int) -> tuple[BackupVersion, int] | None:
        """A version and the number of the current one, locked until the transaction ends."""
        row = await tx.fetchrow(LOCK_VERSION, user_id, version)
        return (BackupVersion(*row[:5]), row["current"]) if row else None

    async def update_auth_data(self, q: Queries, user_id: str, version: int, auth_data: bytes) -> None:
        """Replace the public data of a version."""
        await q.execute(UPDATE_AUTH_DATA, user_id, version, auth_data)

    async def delete_version(self, q: Queries, user_id: str, version: int) -> None:
        """Delete a version's keys and mark it deleted."""
        await q.execute(DELETE_VERSION, user_id, version)

    async def delete_all(self, q: Queries, user_id: str) -> None:
        """Delete all versions of a user, as above."""
        await q.execute(DELETE_ALL, user_id)

    async def store_keys(self, q: Queries, user_id: str, version: int, keys: Sequence[BackedUpKey]) -> BackupState:
        """Store each key that is new or better than the stored one, in one statement."""
        row = await q.fetchrow(
            STORE_KEYS,
            user_id,
            version,
            [key.room_id for key in keys],
            [key.session_id for key in keys],
            [key.first_message_index for key in keys],
            [key.forwarded_count for key in keys],
            [key.is_verified for key in keys],
            [key.session_data for key in keys],
        )
        assert row is not None, "the version is locked by the caller"
        return BackupState(*row)

    async def delete_keys(
        self, q: Queries, user_id: str, version: int, room_id: str | None, session_id: str | None
    ) -> BackupState:
        """Delete keys of a version that the caller has locked."""
        row = await q.fetchrow(DELETE_KEYS, user_id, version, room_id, session_id)
        assert row is not None, "the version is locked by the caller"
        return BackupState(*row)

    async def keys(
        self, q: Queries, user_id: str, version: int, room_id: str | None, session_id: str | None
    ) -> list[BackedUpKey] | None:
        """The keys of a version; None if there is no such version."""
        rows = await q.fetch(KEYS, user_id, version, room_id, session_id)
        if not rows:
            return None
        return [BackedUpKey(*row) for row in rows if row["room_id"] is not None]

"""Table `quarantined_media`, and which files are protected from it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from homeserver.storage.database import Queries

# Of this server there are only files that exist; those of others may come later. `$5`: the name of this server.
ADD = """
INSERT INTO quarantined_media (server_name, media_id, sha256, quarantined_by, quarantined_ms)
SELECT n.server_name, n.media_id, coalesce(m.sha256, r.sha256), $3, $4
FROM unnest($1::text[], $2::text[]) AS n(server_name, media_id)
LEFT JOIN media m ON n.server_name = $5 AND m.media_id = n.media_id
LEFT JOIN remote_media r ON r.server_name = n.server_name AND r.media_id = n.media_id AND r.standing = 'here'
WHERE CASE WHEN n.server_name = $5 THEN m.sha256 IS NOT NULL AND NOT m.protected ELSE true END
ON CONFLICT DO NOTHING
RETURNING media_id
"""

ADD_OF_USER = """
INSERT INTO quarantined_media (server_name, media_id, sha256, quarantined_by, quarantined_ms)
SELECT $4, media_id, sha256, $2, $3 FROM media WHERE user_id = $1 AND sha256 IS NOT NULL AND NOT protected
ON CONFLICT DO NOTHING
RETURNING media_id
"""

# What has the same contents comes free with it. `$3`: the name of this server.
RELEASE = """
WITH contents AS (
    SELECT sha256 FROM media WHERE $1 = $3 AND media_id = $2
    UNION SELECT sha256 FROM remote_media WHERE server_name = $1 AND media_id = $2 AND standing = 'here'
    UNION SELECT sha256 FROM quarantined_media WHERE server_name = $1 AND media_id = $2
)
DELETE FROM quarantined_media
WHERE (server_name = $1 AND media_id = $2) OR sha256 IN (SELECT sha256 FROM contents WHERE sha256 IS NOT NULL)
RETURNING media_id
"""

PROTECT = "UPDATE media SET protected = $2 WHERE media_id = $1 RETURNING media_id"

LOCAL = """
SELECT m.user_id, m.content_type, m.size, m.file_name, m.created_ms, m.last_access_ms, m.protected, m.sha256,
    (SELECT min(quarantined_by) FROM quarantined_media q WHERE q.sha256 = m.sha256)
FROM media m WHERE media_id = $1 AND size IS NOT NULL
"""

REMOTE = """
SELECT NULL, r.content_type, r.size, r.file_name, r.fetched_ms, r.last_access_ms, false, r.sha256,
    (SELECT min(quarantined_by) FROM quarantined_media q
     WHERE (q.server_name = r.server_name AND q.media_id = r.media_id) OR q.sha256 = r.sha256)
FROM remote_media r WHERE server_name = $1 AND media_id = $2 AND standing = 'here'
"""


@dataclass(frozen=True, slots=True)
class FileRecord:
    """What an administrator is told of a file."""

    user_id: str | None
    """Who uploaded it; None for files of other servers."""
    content_type: str | None
    size: int
    file_name: str | None
    created_ms: int
    last_access_ms: int | None
    protected: bool
    sha256: bytes | None
    quarantined_by: str | None


class QuarantineRows:
    """Queries over what is in quarantine."""

    async def add(
        self, q: Queries, files: Sequence[tuple[str, str]], by: str, now_ms: int, own_name: str
    ) -> int:  # fmt: skip
        """Put files (server name and media id) there; returns how many were not there before."""
        names, ids = [each[0] for each in files], [each[1] for each in files]
        return len(await q.fetch(ADD, names, ids, by, now_ms, own_name))

    async def add_of_user(self, q: Queries, user_id: str, by: str, now_ms: int, own_name: str) -> int:
        """Everything that the user has uploaded, except what is protected."""
        return len(await q.fetch(ADD_OF_USER, user_id, by, now_ms, own_name))

    async def release(self, q: Queries, server_name: str, media_id: str, own_name: str) -> int:
        """Take a file out, and all with its contents; returns how many names these had."""
        return len(await q.fetch(RELEASE, server_name, media_id, own_name))

    async def protect(self, q: Queries, media_id: str, protected: bool) -> bool:
        """Whether quarantine is not for this file of ours; False where there is none."""
        return await q.fetchval(PROTECT, media_id, protected) is not None

    async def record(self, q: Queries, server_name: str, media_id: str, own_name: str) -> FileRecord | None:
        """What is known of a file that is here."""
        if server_name == own_name:
            row = await q.fetchrow(LOCAL, media_id)
        else:
            row = await q.fetchrow(REMOTE, server_name, media_id)
        return FileRecord(*row) if row else None

"""Table `device_changes`: what changed about our users' devices, one row a device, in the order in which others are told."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from homeserver.storage.outbound import SERVER_OF

if TYPE_CHECKING:
    from homeserver.storage.database import Queries

CROSS_SIGNING = ""
"""As a device id: the user's master and self-signing key."""

# $1 user; $2 his devices and $3 digests of their keys, all of them. What is the same stays as it is.
RECORD = """
WITH given AS (
    SELECT * FROM unnest($2::text[], $3::bytea[]) AS g(device_id, digest)
), before AS (
    SELECT max(stream_id) AS stream_id FROM device_changes WHERE user_id = $1
), changed AS (
    SELECT g.device_id, g.digest, false AS deleted FROM given g
    LEFT JOIN device_changes c ON c.user_id = $1 AND c.device_id = g.device_id
    WHERE c.digest IS NULL OR c.deleted OR c.digest <> g.digest
    UNION ALL
    SELECT c.device_id, c.digest, true FROM device_changes c
    WHERE c.user_id = $1 AND NOT c.deleted AND c.device_id <> ''
      AND NOT EXISTS (SELECT FROM given g WHERE g.device_id = c.device_id)
), numbered AS MATERIALIZED (
    SELECT device_id, digest, deleted, nextval('device_change_ids') AS stream_id FROM changed
)
INSERT INTO device_changes AS c (user_id, device_id, stream_id, prev_id, digest, deleted)
SELECT $1, n.device_id, n.stream_id,
       coalesce(lag(n.stream_id) OVER (ORDER BY n.stream_id), (SELECT stream_id FROM before)), n.digest, n.deleted
FROM numbered n
ON CONFLICT (user_id, device_id) DO UPDATE
SET stream_id = excluded.stream_id, prev_id = excluded.prev_id, digest = excluded.digest, deleted = excluded.deleted
RETURNING c.stream_id
"""

SHARING_SERVERS = f"""
SELECT DISTINCT {SERVER_OF.format("theirs.user_id")}
FROM memberships mine JOIN memberships theirs USING (room_nid)
WHERE mine.user_id = $1 AND mine.membership = 'join' AND theirs.membership = 'join'
"""

# Changes after $2 of users who share a room with the server $1.
FOR_SERVER = f"""
SELECT c.user_id, c.device_id, c.stream_id, c.prev_id, c.deleted FROM device_changes c
WHERE c.stream_id > $2 AND EXISTS (
    SELECT FROM memberships mine JOIN memberships theirs USING (room_nid)
    WHERE mine.user_id = c.user_id AND mine.membership = 'join'
      AND {SERVER_OF.format("theirs.user_id")} = $1 AND theirs.membership = 'join'
)
ORDER BY c.stream_id LIMIT $3
"""

NEWEST_OF = "SELECT max(stream_id) FROM device_changes WHERE user_id = $1"


@dataclass(frozen=True, slots=True)
class DeviceChange:
    """One device's newest change."""

    user_id: str
    device_id: str
    stream_id: int
    prev_id: int | None
    deleted: bool


class DeviceChangeRows:
    """Statements over device_changes."""

    async def record(
        self, q: Queries, user_id: str, device_ids: Sequence[str], digests: Sequence[bytes]
    ) -> tuple[int, int] | None:  # fmt: skip
        """Compare with what was recorded last; returns numbers of the first and last change, None where there is none."""
        numbers = [row[0] for row in await q.fetch(RECORD, user_id, list(device_ids), list(digests))]
        return (min(numbers), max(numbers)) if numbers else None

    async def sharing_servers(self, q: Queries, user_id: str) -> set[str]:
        """Servers of everybody who is in a room with the user, his own included."""
        return {row[0] for row in await q.fetch(SHARING_SERVERS, user_id)}

    async def for_server(self, q: Queries, destination: str, after: int, limit: int) -> list[DeviceChange]:
        """Changes that the server has to hear of, in order."""
        return [DeviceChange(*row) for row in await q.fetch(FOR_SERVER, destination, after, limit)]

    async def newest_of(self, q: Queries, user_id: str) -> int:
        """The number of the user's newest change; 0 where there was none."""
        return await q.fetchval(NEWEST_OF, user_id) or 0

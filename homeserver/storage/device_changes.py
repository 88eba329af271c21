"""Table `device_changes`: what changed about our users' devices, one row a device, in the order in which others are told."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from homeserver.storage.columns import SERVER_OF

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

# The user's devices once more, under new numbers: for servers that have not heard of them.
RENUMBER = """
WITH before AS (
    SELECT max(stream_id) AS stream_id FROM device_changes WHERE user_id = $1
), numbered AS MATERIALIZED (
    SELECT device_id, nextval('device_change_ids') AS stream_id FROM device_changes WHERE user_id = $1 AND NOT deleted
), chained AS (
    SELECT device_id, stream_id,
           coalesce(lag(stream_id) OVER (ORDER BY stream_id), (SELECT stream_id FROM before)) AS prev_id
    FROM numbered
)
UPDATE device_changes c SET stream_id = n.stream_id, prev_id = n.prev_id
FROM chained n WHERE c.user_id = $1 AND c.device_id = n.device_id
RETURNING c.stream_id
"""

# Of the servers $1: those that share no room with the user $2 but $3.
STRANGERS = f"""
SELECT server FROM unnest($1::text[]) AS server
WHERE NOT EXISTS (
    SELECT FROM memberships mine JOIN memberships theirs USING (room_nid)
    WHERE mine.user_id = $2 AND mine.membership = 'join' AND mine.room_nid <> $3
      AND {SERVER_OF.format("theirs.user_id")} = server AND theirs.membership = 'join'
)
"""

# Whom the changes after $1 concern, and up to which: asked once, after a start.
CONCERNED = f"""
SELECT {SERVER_OF.format("theirs.user_id")}, max(c.stream_id)
FROM (SELECT user_id, max(stream_id) AS stream_id FROM device_changes WHERE stream_id > $1 GROUP BY user_id) c
JOIN memberships mine ON mine.user_id = c.user_id AND mine.membership = 'join'
JOIN memberships theirs ON theirs.room_nid = mine.room_nid AND theirs.membership = 'join'
GROUP BY 1
"""

UNRECORDED = "SELECT user_id FROM device_list_changes WHERE position > $1 AND observer = ''"

NEWEST = "SELECT max(stream_id) FROM device_changes"
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

    async def newest(self, q: Queries) -> int:
        """The number of the newest change of all; 0 where there was none."""
        return await q.fetchval(NEWEST) or 0

    async def renumber(self, q: Queries, user_id: str) -> tuple[int, int] | None:
        """First and last new number of the user's devices; None where he has none."""
        numbers = [row[0] for row in await q.fetch(RENUMBER, user_id)]
        return (min(numbers), max(numbers)) if numbers else None

    async def strangers(self, q: Queries, servers: Collection[str], user_id: str, room_nid: int) -> list[str]:
        """Which of these servers share no other room with the user."""
        return [row[0] for row in await q.fetch(STRANGERS, list(servers), user_id, room_nid)]

    async def concerned(self, q: Queries, after: int) -> dict[str, int]:
        """Servers (ours among them) by the newest change after this one that concerns them."""
        return {row[0]: row[1] for row in await q.fetch(CONCERNED, after)}

    async def unrecorded(self, q: Queries, after: int) -> list[str]:
        """Users whose keys changed after this position in the stream of device lists."""
        return [row[0] for row in await q.fetch(UNRECORDED, after)]

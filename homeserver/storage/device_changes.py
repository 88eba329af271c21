"""Table `device_changes`: what changed about our users' devices, one row a device, in the order in which others are told."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from homeserver.storage.columns import SERVER_OF, Columns

if TYPE_CHECKING:
    from homeserver.storage.database import Queries

CROSS_SIGNING = ""
"""As a device id: the user's master and self-signing key."""

Numbers = tuple[int, int]
"""Of the first and the last of a user's changes that were made at the same time."""

# $1 users; $2, $3 all their devices and $4 digests of their keys. What is the same stays as it is.
RECORD = """
WITH given AS (
    SELECT * FROM unnest($2::text[], $3::text[], $4::bytea[]) AS g(user_id, device_id, digest)
), before AS (
    SELECT user_id, max(stream_id) AS stream_id FROM device_changes WHERE user_id = ANY($1::text[]) GROUP BY user_id
), changed AS (
    SELECT g.user_id, g.device_id, g.digest, false AS deleted FROM given g
    LEFT JOIN device_changes c ON c.user_id = g.user_id AND c.device_id = g.device_id
    WHERE c.digest IS NULL OR c.deleted OR c.digest <> g.digest
    UNION ALL
    SELECT c.user_id, c.device_id, c.digest, true FROM device_changes c
    WHERE c.user_id = ANY($1::text[]) AND NOT c.deleted AND c.device_id <> ''
      AND NOT EXISTS (SELECT FROM given g WHERE g.user_id = c.user_id AND g.device_id = c.device_id)
), numbered AS MATERIALIZED (
    SELECT user_id, device_id, digest, deleted, nextval('device_change_ids') AS stream_id FROM changed
)
INSERT INTO device_changes AS c (user_id, device_id, stream_id, prev_id, digest, deleted)
SELECT n.user_id, n.device_id, n.stream_id,
       coalesce(lag(n.stream_id) OVER (PARTITION BY n.user_id ORDER BY n.stream_id), b.stream_id), n.digest, n.deleted
FROM numbered n LEFT JOIN before b ON b.user_id = n.user_id
ON CONFLICT (user_id, device_id) DO UPDATE
SET stream_id = excluded.stream_id, prev_id = excluded.prev_id, digest = excluded.digest, deleted = excluded.deleted
RETURNING c.user_id, c.stream_id
"""

# Servers of a room once, however many of these users are in it.
SHARING_SERVERS = f"""
WITH mine AS (
    SELECT user_id, room_nid FROM memberships WHERE user_id = ANY($1::text[]) AND membership = 'join'
), there AS (
    SELECT DISTINCT theirs.room_nid, {SERVER_OF.format("theirs.user_id")} AS server FROM memberships theirs
    WHERE theirs.room_nid IN (SELECT room_nid FROM mine) AND theirs.membership = 'join'
)
SELECT DISTINCT mine.user_id, there.server FROM mine JOIN there USING (room_nid)
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

# The devices of these users once more, under new numbers: for servers that have not heard of them.
RENUMBER = """
WITH before AS (
    SELECT user_id, max(stream_id) AS stream_id FROM device_changes WHERE user_id = ANY($1::text[]) GROUP BY user_id
), numbered AS MATERIALIZED (
    SELECT user_id, device_id, nextval('device_change_ids') AS stream_id
    FROM device_changes WHERE user_id = ANY($1::text[]) AND NOT deleted
), chained AS (
    SELECT n.user_id, n.device_id, n.stream_id,
           coalesce(lag(n.stream_id) OVER (PARTITION BY n.user_id ORDER BY n.stream_id), b.stream_id) AS prev_id
    FROM numbered n JOIN before b ON b.user_id = n.user_id
)
UPDATE device_changes c SET stream_id = n.stream_id, prev_id = n.prev_id
FROM chained n WHERE c.user_id = n.user_id AND c.device_id = n.device_id
RETURNING c.user_id, c.stream_id
"""

# Who came at $4 into the room $3 where the server $1 is: those that shared no other room with it then.
STRANGERS = f"""
SELECT DISTINCT n.user_id, n.server
FROM unnest($1::text[], $2::text[], $3::int[], $4::bigint[]) AS n(server, user_id, room_nid, position)
WHERE NOT EXISTS (
    SELECT FROM memberships mine JOIN memberships theirs USING (room_nid)
    WHERE mine.user_id = n.user_id AND mine.membership = 'join'
      AND mine.room_nid <> n.room_nid AND mine.position < n.position
      AND {SERVER_OF.format("theirs.user_id")} = n.server AND theirs.membership = 'join'
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


@dataclass(frozen=True, slots=True)
class Newcomer:
    """One of our users has come into a room in which these servers are, with the event at this position."""

    user_id: str
    room_nid: int
    position: int
    servers: Collection[str]


class DeviceChangeRows:
    """Statements over device_changes."""

    async def record(
        self, q: Queries, user_ids: Collection[str], devices: Sequence[tuple[str, str, bytes]]
    ) -> dict[str, Numbers]:  # fmt: skip
        """Compare all devices of these users (user, device, digest) with what was recorded last; who has no change is left
        out of the answer.
        """
        return _numbers(await q.fetch(RECORD, list(user_ids), *Columns(3, list(devices)).arrays()))

    async def sharing_servers(self, q: Queries, user_ids: Collection[str]) -> dict[str, set[str]]:
        """By user: servers of everybody who is in a room with him, his own included."""
        return _by_user(await q.fetch(SHARING_SERVERS, list(user_ids)))

    async def for_server(self, q: Queries, destination: str, after: int, limit: int) -> list[DeviceChange]:
        """Changes that the server has to hear of, in order."""
        return [DeviceChange(*row) for row in await q.fetch(FOR_SERVER, destination, after, limit)]

    async def newest_of(self, q: Queries, user_id: str) -> int:
        """The number of the user's newest change; 0 where there was none."""
        return await q.fetchval(NEWEST_OF, user_id) or 0

    async def newest(self, q: Queries) -> int:
        """The number of the newest change of all; 0 where there was none."""
        return await q.fetchval(NEWEST) or 0

    async def renumber(self, q: Queries, user_ids: Collection[str]) -> dict[str, Numbers]:
        """New numbers of the users' devices; who has none is left out."""
        return _numbers(await q.fetch(RENUMBER, list(user_ids)))

    async def strangers(self, q: Queries, newcomers: Iterable[Newcomer]) -> dict[str, set[str]]:
        """By user: which of the servers in the rooms shared no other room with him when he came."""
        rows = [(name, each.user_id, each.room_nid, each.position) for each in newcomers for name in each.servers]
        return _by_user(await q.fetch(STRANGERS, *Columns(4, rows).arrays()))

    async def concerned(self, q: Queries, after: int) -> dict[str, int]:
        """Servers (ours among them) by the newest change after this one that concerns them."""
        return {row[0]: row[1] for row in await q.fetch(CONCERNED, after)}

    async def unrecorded(self, q: Queries, after: int) -> list[str]:
        """Users whose keys changed after this position in the stream of device lists."""
        return [row[0] for row in await q.fetch(UNRECORDED, after)]


def _numbers(rows: Iterable[Any]) -> dict[str, Numbers]:
    numbers: dict[str, Numbers] = {}
    for user_id, number in rows:
        first, last = numbers.get(user_id, (number, number))
        numbers[user_id] = min(first, number), max(last, number)
    return numbers


def _by_user(rows: Iterable[Any]) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for user_id, name in rows:
        found.setdefault(user_id, set()).add(name)
    return found

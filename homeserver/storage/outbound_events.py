"""Events as other servers get them, and which of them a server that was away has missed."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from homeserver.storage.outbound import SERVER

if TYPE_CHECKING:
    from homeserver.storage.database import Queries

# What the server $1 lacks of ($2, $3]. $4: ':' and our name; $5: the most rows; $6: a room in which more was missed gives
# its newest $7 only. The parts:
# `shared`: the server's rooms, found by jumping from one to the next in the index. `missed`: our events in them.
# `rooms`: `whole` where one of its users was joined all the time, which is nearly everywhere. `spells`: else, for each of
# its users from which event on he was what. An event is for a server that was in the room before it; one that ends an
# invite or a knock is for that user's server too.
MISSED = f"""
WITH RECURSIVE shared (room_nid) AS (
    (SELECT m.room_nid FROM memberships m WHERE {SERVER.format("m")} = $1 ORDER BY m.room_nid LIMIT 1)
    UNION ALL
    SELECT (
        SELECT m.room_nid FROM memberships m WHERE {SERVER.format("m")} = $1 AND m.room_nid > s.room_nid
        ORDER BY m.room_nid LIMIT 1
    ) FROM shared s WHERE s.room_nid IS NOT NULL
), newest AS (
    SELECT e.* FROM shared s CROSS JOIN LATERAL (
        SELECT room_nid, position, event_nid, type, state_key, body, unsigned FROM events
        WHERE room_nid = s.room_nid AND position > $2 AND position <= $3
          AND (right(sender, length($4)) = $4 OR (flags & 128 <> 0 AND right(sender, length($1) + 1) <> ':' || $1))
        ORDER BY position DESC LIMIT $6::bigint + 1
    ) e
), missed AS (
    SELECT *, row_number() OVER (PARTITION BY room_nid ORDER BY position DESC) AS place,
           count(*) OVER (PARTITION BY room_nid) AS number
    FROM newest
), rooms AS (
    SELECT room_nid, EXISTS (
        SELECT FROM memberships m WHERE {SERVER.format("m")} = $1 AND m.room_nid = active.room_nid
          AND m.membership = 'join' AND m.position <= $2
    ) AS whole
    FROM (SELECT DISTINCT room_nid FROM newest) active
), spells AS (
    SELECT m.room_nid, c.position AS low,
           coalesce(lead(c.position) OVER (PARTITION BY m.room_nid, m.user_id ORDER BY c.position), $3) AS high,
           convert_from(e.body, 'UTF8')::json #>> '{{content,membership}}' AS membership
    FROM rooms r
    JOIN memberships m ON {SERVER.format("m")} = $1 AND m.room_nid = r.room_nid
    JOIN state_changes c ON c.room_nid = m.room_nid AND c.type = 'm.room.member' AND c.state_key = m.user_id
    LEFT JOIN events e ON e.event_nid = c.event_nid
    WHERE NOT r.whole
)
SELECT m.position, m.event_nid,
       m.type = 'm.room.member' AND right(m.state_key, length($4)) = $4
       AND convert_from(m.body, 'UTF8')::json #>> '{{content,membership}}' = 'join'
       AND convert_from('{{'::bytea || coalesce(m.unsigned, ''::bytea) || '}}'::bytea, 'UTF8')::json
           #>> '{{prev_content,membership}}' IS DISTINCT FROM 'join' AS introduces
FROM missed m JOIN rooms r USING (room_nid)
WHERE (m.number <= $6 OR m.place <= $7) AND (r.whole OR EXISTS (
    SELECT FROM spells s WHERE s.room_nid = m.room_nid
      AND (CASE WHEN s.membership = 'join' THEN s.low < m.position AND m.position <= s.high
                ELSE s.membership IN ('invite', 'knock') AND m.position = s.high END)
))
ORDER BY m.position LIMIT $5
"""

PDUS = """
SELECT e.event_nid, e.event_id, e.body, e.envelope, r.version
FROM events e JOIN rooms r USING (room_nid) WHERE e.event_nid = ANY($1::bigint[])
"""


class MissedEvent(NamedTuple):
    """`introduces`: one of our users comes into the room by it."""

    position: int
    event_nid: int
    introduces: bool


@dataclass(frozen=True, slots=True)
class StoredPdu:
    """An event's two halves, and the version of its room."""

    event_nid: int
    event_id: str
    body: bytes
    envelope: bytes
    version: str


@dataclass(frozen=True, slots=True)
class OutboundEvents:
    """Two statements. In a room in which more than `many` events were missed, the newest `newest` are sent."""

    server_name: str
    many: int = 200
    newest: int = 50

    async def missed(self, q: Queries, destination: str, after: int, up_to: int, limit: int) -> list[MissedEvent]:
        """What is for this server in `(after, up_to]`, oldest first, at most `limit`."""
        ours = f":{self.server_name}"
        rows = await q.fetch(MISSED, destination, after, up_to, ours, limit, self.many, self.newest)
        return [MissedEvent(row[0], row[1], bool(row[2])) for row in rows]

    async def pdus(self, q: Queries, event_nids: Collection[int]) -> list[StoredPdu]:
        """Events by their numbers."""
        return [StoredPdu(*row) for row in await q.fetch(PDUS, list(event_nids))]

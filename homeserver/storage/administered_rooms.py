"""Rooms as administrators see them. Events are reached by current state only, and read outside of SQL: what another server
wrote into one may be JSON that PostgreSQL does not take.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from homeserver.storage.columns import SERVER_OF

if TYPE_CHECKING:
    from homeserver.storage.database import Queries

# Rooms of which no more is known than an invitation have no create event.
KNOWN = """
SELECT r.room_nid, r.room_id, r.version FROM rooms r
WHERE EXISTS (SELECT FROM current_state s
              WHERE s.room_nid = r.room_nid AND s.type = 'm.room.create' AND s.state_key = '')
"""

STATE = """
SELECT s.room_nid, s.type, e.sender, e.body
FROM unnest($1::integer[]) AS room(nid) CROSS JOIN unnest($2::text[]) AS wanted(type)
JOIN current_state s ON s.room_nid = room.nid AND s.type = wanted.type AND s.state_key = ''
JOIN events e ON e.event_nid = s.event_nid
"""

MEMBERS = f"""
SELECT room_nid, count(*), count(*) FILTER (WHERE {SERVER_OF.format("user_id")} = $2)
FROM memberships WHERE room_nid = ANY($1::integer[]) AND membership = 'join' GROUP BY room_nid
"""

STATE_COUNTS = "SELECT room_nid, count(*) FROM current_state WHERE room_nid = ANY($1::integer[]) GROUP BY room_nid"

PUBLISHED = "SELECT room_nid FROM published_rooms WHERE room_nid = ANY($1::integer[])"

LOCAL_DEVICES = """
SELECT count(*) FROM memberships m JOIN devices d ON d.user_id = m.user_id
WHERE m.room_nid = $1 AND m.membership = 'join'
"""

# Only this server's users are in `users`.
IS_FORGOTTEN = """
SELECT NOT EXISTS (SELECT FROM memberships m JOIN users u ON u.user_id = m.user_id
                   WHERE m.room_nid = $1 AND NOT m.forgotten)
"""

NID = "SELECT room_nid, room_id, version FROM rooms WHERE room_id = $1"

# The statistics that the planner keeps say how wide a row is and how many there are; which rooms have most of the rows of
# `events` is in the most common values of its column.
SIZES = """
WITH sampled AS (
    SELECT unnest(most_common_vals::text::integer[]) AS room_nid, unnest(most_common_freqs) AS share
    FROM pg_stats WHERE schemaname = current_schema() AND tablename = 'events' AND attname = 'room_nid'
)
SELECT r.room_id, (s.share * pg_total_relation_size('events'))::bigint
FROM sampled s JOIN rooms r ON r.room_nid = s.room_nid ORDER BY 2 DESC, 1 LIMIT $1
"""


BY_IDS = "SELECT room_nid, room_id, version FROM rooms WHERE room_id = ANY($1::text[])"

EXTREMITIES = (
    "SELECT event_id, depth, origin_server_ts FROM events WHERE event_id = ANY($1::text[]) ORDER BY depth, event_id"
)


class KnownRoom(NamedTuple):
    """A room by its number and id."""

    room_nid: int
    room_id: str
    version: str


class StateBody(NamedTuple):
    """One event of a room's current state, with an empty state key."""

    room_nid: int
    type: str
    sender: str
    body: bytes


class Members(NamedTuple):
    """How many have joined, and how many of them are of this server."""

    joined: int
    local: int


class Extremity(NamedTuple):
    """An event that nothing is attached to yet, and the time that it bears."""

    event_id: str
    depth: int
    time_ms: int


@dataclass(frozen=True, slots=True)
class AdministeredRooms:
    """Queries over rooms. All take many at once."""

    server_name: str

    async def known(self, q: Queries) -> list[KnownRoom]:
        """Every room of which this server has the state."""
        return [KnownRoom(*row) for row in await q.fetch(KNOWN)]

    async def one(self, q: Queries, room_id: str) -> KnownRoom | None:
        """One room by its id."""
        row = await q.fetchrow(NID, room_id)
        return KnownRoom(*row) if row else None

    async def by_ids(self, q: Queries, room_ids: Collection[str]) -> list[KnownRoom]:
        """Those of the rooms that are here."""
        return [KnownRoom(*row) for row in await q.fetch(BY_IDS, list(room_ids))]

    async def extremities(self, q: Queries, event_ids: Collection[str]) -> list[Extremity]:
        """These events."""
        return [Extremity(*row) for row in await q.fetch(EXTREMITIES, list(event_ids))]

    async def state(self, q: Queries, room_nids: Sequence[int], types: Sequence[str]) -> list[StateBody]:
        """Current state of these types, in no order."""
        return [StateBody(*row) for row in await q.fetch(STATE, list(room_nids), list(types))]

    async def members(self, q: Queries, room_nids: Sequence[int]) -> dict[int, Members]:
        """By room; rooms that nobody is in are left out."""
        return {row[0]: Members(row[1], row[2]) for row in await q.fetch(MEMBERS, list(room_nids), self.server_name)}

    async def state_counts(self, q: Queries, room_nids: Sequence[int]) -> dict[int, int]:
        """How many entries the current state of each room has."""
        return {row[0]: row[1] for row in await q.fetch(STATE_COUNTS, list(room_nids))}

    async def published(self, q: Queries, room_nids: Sequence[int]) -> set[int]:
        """Those that the directory shows."""
        return {row[0] for row in await q.fetch(PUBLISHED, list(room_nids))}

    async def local_devices(self, q: Queries, room_nid: int) -> int:
        """Devices of the joined members of this server."""
        number: int = await q.fetchval(LOCAL_DEVICES, room_nid)
        return number

    async def is_forgotten(self, q: Queries, room_nid: int) -> bool:
        """Whether all users of this server who ever were in it have forgotten it."""
        return bool(await q.fetchval(IS_FORGOTTEN, room_nid))

    async def sizes(self, q: Queries, limit: int) -> list[tuple[str, int]]:
        """The largest rooms with the bytes of their events, as PostgreSQL's planner guesses; largest first."""
        return [(row[0], row[1]) for row in await q.fetch(SIZES, limit)]

"""Table `timeline_gaps`: holes of timelines, and older history on its way into them (decision 0017, part 3)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from asyncpg import UniqueViolationError

from homeserver.storage.columns import RELATED_BIT, Columns
from homeserver.storage.event_writes import EventStoredError
from homeserver.storage.search_entries import Past, SearchEntries

if TYPE_CHECKING:
    from homeserver.storage.database import Queries

# Before everything else, so that of two that fill the same gap one waits and then finds it changed.
NARROW = """
UPDATE timeline_gaps SET high = $4, missing = $5 WHERE room_nid = $1 AND low = $2 AND high = $3 RETURNING high
"""
CLOSE = "DELETE FROM timeline_gaps WHERE room_nid = $1 AND low = $2 AND high = $3 RETURNING high"

EVENTS = f"""
INSERT INTO events (event_nid, room_nid, position, depth, origin_server_ts, flags, event_id, type, state_key, sender,
                    body, envelope, unsigned, auth_nids)
SELECT event_nid, $1, position, depth, origin_server_ts, flags | {RELATED_BIT.format("g.event_id", "$1")},
       event_id, type, state_key, sender,
       body, envelope, unsigned, auth_nids::bigint[]
FROM unnest($2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[], $6::smallint[], $7::text[], $8::text[], $9::text[],
            $10::text[], $11::bytea[], $12::bytea[], $13::bytea[], $14::text[])
     AS g(event_nid, position, depth, origin_server_ts, flags, event_id, type, state_key, sender, body, envelope, unsigned,
          auth_nids)
"""

PLACE_STORED = f"""
UPDATE events e SET position = g.position, flags = g.flags | {RELATED_BIT.format("e.event_id", "$1")},
    body = g.body, envelope = g.envelope, unsigned = g.unsigned
FROM unnest($2::bigint[], $3::bigint[], $4::smallint[], $5::bytea[], $6::bytea[], $7::bytea[])
     AS g(event_nid, position, flags, body, envelope, unsigned)
WHERE e.event_nid = g.event_nid AND e.room_nid = $1 AND e.position IS NULL
"""

RELATIONS = """
INSERT INTO relations (event_nid, room_nid, position, parent_id, rel_type, type, sender, aggregation_key)
SELECT event_nid, $1, position, parent_id, rel_type, type, sender, aggregation_key
FROM unnest($2::bigint[], $3::bigint[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[])
     AS r(event_nid, position, parent_id, rel_type, type, sender, aggregation_key)
"""

FORKED = """
INSERT INTO forked_states (event_nid, base_position, instead, without)
SELECT event_nid, base_position, instead::bigint[], without::bigint[]
FROM unnest($1::bigint[], $2::bigint[], $3::text[], $4::text[]) AS f(event_nid, base_position, instead, without)
"""

# $2: the bottom. Only where the key was set before the hole does it take an entry to say that there is nothing.
BOTTOM_GONE = """
DELETE FROM state_changes c USING unnest($3::text[], $4::text[]) AS g(type, state_key)
WHERE c.room_nid = $1 AND c.position = $2 AND c.type = g.type AND c.state_key = g.state_key
"""
BOTTOM_NOTHING = """
INSERT INTO state_changes (room_nid, type, state_key, position, event_nid)
SELECT $1, g.type, g.state_key, $2, NULL FROM unnest($3::text[], $4::text[]) AS g(type, state_key)
WHERE EXISTS (
    SELECT FROM state_changes c
    WHERE c.room_nid = $1 AND c.type = g.type AND c.state_key = g.state_key AND c.position < $2
)
"""
BOTTOM_SET = """
INSERT INTO state_changes (room_nid, type, state_key, position, event_nid)
SELECT $1, type, state_key, $2, event_nid FROM unnest($3::text[], $4::text[], $5::bigint[]) AS g(type, state_key, event_nid)
ON CONFLICT (room_nid, type, state_key, position) DO UPDATE SET event_nid = excluded.event_nid
"""

# Where the event at the top of the gap has set the key itself, the entry stays its own.
CHANGES = """
INSERT INTO state_changes (room_nid, type, state_key, position, event_nid)
SELECT $1, type, state_key, position, event_nid
FROM unnest($2::text[], $3::text[], $4::bigint[], $5::bigint[]) AS g(type, state_key, position, event_nid)
ON CONFLICT (room_nid, type, state_key, position) DO NOTHING
"""

# What has been in force since the bottom of the hole, until now, is so since a later position of the past.
CURRENT = """
UPDATE current_state c SET position = g.position
FROM unnest($3::text[], $4::text[], $5::bigint[], $6::bigint[]) AS g(type, state_key, position, event_nid)
WHERE c.room_nid = $1 AND c.position = $2 AND c.type = g.type AND c.state_key = g.state_key AND c.event_nid = g.event_nid
"""
MEMBERS = """
UPDATE memberships m SET position = g.position
FROM unnest($3::text[], $4::text[], $5::bigint[], $6::bigint[]) AS g(type, state_key, position, event_nid)
WHERE m.room_nid = $1 AND m.position = $2 AND g.type = 'm.room.member' AND m.user_id = g.state_key
  AND m.event_nid = g.event_nid
"""


# Where the beginning of the room is not here, the oldest hole is the one that we came in above.
ARRIVAL_DEPTH = """
SELECT e.depth FROM timeline_gaps g JOIN events e ON e.room_nid = g.room_nid AND e.position = g.high
WHERE g.room_nid = $1 AND NOT EXISTS (
    SELECT FROM current_state c JOIN events created USING (event_nid)
    WHERE c.room_nid = $1 AND c.type = 'm.room.create' AND c.state_key = '' AND created.position IS NOT NULL
)
ORDER BY g.high LIMIT 1
"""


async def arrival_depth(q: Queries, room_nid: int) -> int:
    """Below this depth a room's history is not here, as it was before we came; 0 where all of it is."""
    return await q.fetchval(ARRIVAL_DEPTH, room_nid) or 0


DEPTHS = "SELECT position, depth FROM events WHERE room_nid = $1 AND position = ANY($2::bigint[])"


async def depths_at(q: Queries, room_nid: int, positions: Sequence[int]) -> dict[int, int]:
    """The depths of the events at these positions of a timeline."""
    return {row[0]: row[1] for row in await q.fetch(DEPTHS, room_nid, list(positions))}


class Gap(NamedTuple):
    """Positions low < p < high are free for the past of the event at `high`, of whose prev_events `missing` are not here;
    nothing is missing of a past that was purged.
    """

    low: int
    high: int
    missing: tuple[str, ...]


@dataclass(slots=True)
class PastRows:
    """Everything that one step of filling a gap writes. Field comments give the tuples' order."""

    room_nid: int
    gap: Gap
    new_high: int
    missing: Sequence[str]
    # event_nid, position, depth, origin_server_ts, flags, event_id, type, state_key, sender, body, envelope, unsigned, auth
    events: Columns = field(default_factory=lambda: Columns(13))
    # event_nid, position, flags, body, envelope, unsigned
    placed: Columns = field(default_factory=lambda: Columns(6))
    # event_nid, position, parent_id, rel_type, type, sender, aggregation_key
    relations: Columns = field(default_factory=lambda: Columns(7))
    # event_nid, base_position, instead, without
    forked: Columns = field(default_factory=lambda: Columns(4))
    # type, state_key
    bottom_gone: Columns = field(default_factory=lambda: Columns(2))
    # type, state_key, event_nid
    bottom_set: Columns = field(default_factory=lambda: Columns(3))
    # type, state_key, position, event_nid
    changes: Columns = field(default_factory=lambda: Columns(4))
    # type, state_key, position, event_nid: the last change of each key
    risen: Columns = field(default_factory=lambda: Columns(4))

    async def write(self, q: Queries) -> bool:
        """Write everything, inside a transaction of the caller; False (and nothing written) where the gap has changed.

        Raises EventStoredError.
        """
        if not await self._narrow(q):
            return False
        room, bottom = self.room_nid, self.gap.low + 1
        parts: list[tuple[str, Columns, tuple[Any, ...]]] = [
            (EVENTS, self.events, (room,)),
            (PLACE_STORED, self.placed, (room,)),
            (RELATIONS, self.relations, (room,)),
            (FORKED, self.forked, ()),
            (BOTTOM_GONE, self.bottom_gone, (room, bottom)),
            (BOTTOM_NOTHING, self.bottom_gone, (room, bottom)),
            (BOTTOM_SET, self.bottom_set, (room, bottom)),
            (CHANGES, self.changes, (room,)),
            (CURRENT, self.risen, (room, bottom)),
            (MEMBERS, self.risen, (room, bottom)),
        ]
        try:
            for statement, columns, arguments in parts:
                if columns.rows:
                    await q.execute(statement, *arguments, *columns.arrays())
            await self._remember_to_index(q)
        except UniqueViolationError as error:
            if error.constraint_name == "events_event_id":
                raise EventStoredError from error
            raise
        return True

    async def _remember_to_index(self, q: Queries) -> None:
        """Who searches finds old messages too: they get their entries later."""
        places = [row[1] for row in (*self.events.rows, *self.placed.rows) if row[1] is not None]
        if places:
            await SearchEntries().add_past(q, Past(self.room_nid, min(places), max(places)))

    async def _narrow(self, q: Queries) -> bool:
        place = (self.room_nid, self.gap.low, self.gap.high)
        if self.missing:
            return await q.fetchval(NARROW, *place, self.new_high, list(self.missing)) is not None
        return await q.fetchval(CLOSE, *place) is not None

"""Rows of rooms leave the database, some thousands a statement: whoever else writes waits for a moment at most.

Of users of this server who are out of a deleted room, the membership and its event stay, as of a room that this server was
never in: their clients, which may be away for weeks, have to be told that they are out.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from homeserver.storage.room_tables import AFTER_EVENTS, BY_EVENT, BY_ROOM

if TYPE_CHECKING:
    from homeserver.storage.database import Queries

# The expression of the index memberships_server. `$2`: the name of this server.
OURS = "substring(m.user_id FROM position(':' IN m.user_id) + 1) = $2"

INSIDE = f"""
SELECT m.user_id, m.membership FROM memberships m
WHERE m.room_nid = $1 AND {OURS} AND m.membership IN ('join', 'invite', 'knock') AND m.user_id > $3
ORDER BY m.user_id LIMIT $4
"""

# Nobody builds on the room any more: its next event would be the first.
CLOSE = "UPDATE rooms SET extremities = '{}', depth = 0, tip_version = 0 WHERE room_nid = $1"

# What stays of members who are out: `$3` is the flag of events that are outside of the timeline.
KEEP_DEPARTURES = f"""
UPDATE events e SET position = NULL, flags = $3, auth_nids = NULL FROM memberships m
WHERE m.room_nid = $1 AND {OURS} AND m.membership IN ('leave', 'ban') AND NOT m.forgotten
  AND e.event_nid = m.event_nid AND e.room_nid = $1
"""

IS_DEPARTURE = f"{OURS} AND m.membership IN ('leave', 'ban') AND NOT m.forgotten"

STAYS = {
    "memberships": f"NOT ({IS_DEPARTURE})",
    "state_changes": f"""NOT EXISTS (
        SELECT FROM memberships k WHERE k.room_nid = $1 AND k.user_id = m.state_key AND m.type = 'm.room.member'
        AND k.event_nid = m.event_nid AND {OURS.replace("m.", "k.")} AND k.membership IN ('leave', 'ban') AND NOT k.forgotten
    )""",
}

DELETE_SOME = """
DELETE FROM {table} WHERE ctid = ANY(ARRAY(
    SELECT m.ctid FROM {table} m WHERE m.{column} = $1 {unless} LIMIT {limit}
))
"""

EVENTS = """
WITH batch AS ({batch}),
{others},
gone AS (DELETE FROM events e USING batch WHERE e.event_nid = batch.event_nid)
SELECT count(*), max(place) FROM batch
"""

WITHOUT_ROOM: Final = frozenset({"forked_states", "redacted_bodies"})


def _others(stays: Collection[str] = ()) -> str:
    """What goes along with the events of a batch; of the tables `stays` only with those that are deleted."""
    return ",\n".join(
        f"g{number} AS (DELETE FROM {table} t USING batch WHERE t.{column} = batch.{of_event}"
        + ("" if table in WITHOUT_ROOM else " AND t.room_nid = $1")
        + (" AND batch.goes)" if table in stays else ")")
        for number, (table, column, of_event) in enumerate(BY_EVENT)
    )


OTHERS = _others()

# `$2`: a limit.
EVENTS_OF_ROOM = EVENTS.format(
    others=OTHERS,
    batch="""
    SELECT event_nid, event_id, position, position AS place FROM events WHERE room_nid = $1 AND position IS NOT NULL
    ORDER BY position LIMIT $2""",
)

# Outside of the timeline; departures that stay are among them. `$3`: the name of this server.
EVENTS_ASIDE = EVENTS.format(
    others=OTHERS,
    batch=f"""
    SELECT event_nid, event_id, position, event_nid AS place FROM events e
    WHERE room_nid = $1 AND position IS NULL AND NOT EXISTS (
        SELECT FROM memberships m WHERE m.room_nid = $1 AND m.user_id = e.state_key AND m.event_nid = e.event_nid
        AND {OURS.replace("$2", "$3")}
    ) LIMIT $2""",
)

IS_OURS = "substring(e.sender FROM position(':' IN e.sender) + 1) = $5"

# What is known about an event that only leaves the timeline stays true.
STAYS_WITH_EVENT = frozenset({"redactions", "redacted_bodies"})

# A stretch of history leaves the timeline, but for the tip, on which the room goes on. Messages are deleted; what is state is
# needed to understand what came later, and stays as an event outside of the timeline (`$7`), as do events of users of this
# server where not `$6`. `$2` to `$3`: positions, exclusive; `$5`: the name of this server.
PURGE = f"""
WITH batch AS (
    SELECT e.event_nid, e.event_id, e.position, e.state_key IS NULL AND ($6 OR NOT {IS_OURS}) AS goes FROM (
        SELECT * FROM events WHERE room_nid = $1 AND position > $2 AND position < $3 ORDER BY position LIMIT $4
    ) e JOIN rooms r USING (room_nid)
    WHERE NOT e.event_id = ANY(r.extremities)
),
{_others(STAYS_WITH_EVENT)},
aside AS (
    UPDATE events e SET position = NULL, flags = e.flags | $7::smallint FROM batch
    WHERE e.event_nid = batch.event_nid AND NOT batch.goes
),
gone AS (DELETE FROM events e USING batch WHERE e.event_nid = batch.event_nid AND batch.goes)
SELECT count(*) FROM batch
"""

# Where the timeline begins now it has a hole, so that readers take the state there for what came before (decision 0017).
MARK_HOLE = """
WITH top AS (
    SELECT position, type FROM events WHERE room_nid = $1 AND position IS NOT NULL ORDER BY position LIMIT 1
), below AS (
    DELETE FROM timeline_gaps g USING top WHERE g.room_nid = $1 AND g.high < top.position
)
INSERT INTO timeline_gaps (room_nid, low, high, missing)
SELECT $1, position - 1, position, '{}' FROM top WHERE type <> 'm.room.create'
ON CONFLICT DO NOTHING
"""

# Messages of our users that an earlier purge took out of the timeline. Their numbers are the positions that they had.
PURGE_ASIDE = EVENTS.format(
    others=OTHERS,
    batch=f"""
    SELECT e.event_nid, e.event_id, e.position, e.event_nid AS place FROM events e
    WHERE e.room_nid = $1 AND e.position IS NULL AND e.event_nid > $2 AND e.event_nid < $3
      AND e.state_key IS NULL AND e.flags & $6::smallint <> 0 AND {IS_OURS}
    ORDER BY e.event_nid LIMIT $4""",
)

END_OF_STRETCH = """
SELECT max(position) FROM (
    SELECT position FROM events WHERE room_nid = $1 AND position > $2 AND position < $3 ORDER BY position LIMIT $4
) e
"""

FORGET_ROOM = """
DELETE FROM rooms r WHERE room_nid = $1 AND tip_version = 0
AND NOT EXISTS (SELECT FROM memberships m WHERE m.room_nid = $1)
"""

# By the clocks of many servers: where one of them is wrong, rather too little goes than too much.
FIRST_NOT_OLDER = """
SELECT o.position, n.position FROM (
    SELECT position FROM events WHERE room_nid = $1 AND position IS NOT NULL AND origin_server_ts < $2
    ORDER BY position DESC LIMIT 1
) o LEFT JOIN (
    SELECT position FROM events WHERE room_nid = $1 AND position IS NOT NULL AND origin_server_ts >= $2
    ORDER BY position LIMIT 1
) n ON true
"""

ROOM_NUMBER = "SELECT room_nid FROM rooms WHERE room_id = $1"

ALIASES = "SELECT alias FROM room_aliases WHERE room_nid = $1 ORDER BY alias"

ROWS_AT_ONCE: Final = 5_000
EVENTS_AT_ONCE: Final = 1_000


@dataclass(frozen=True, slots=True)
class RoomPurge:
    """Queries that take a room, or some of it, away. `server_name`: of this server."""

    server_name: str

    async def number(self, q: Queries, room_id: str) -> int | None:
        """The room's number, also of one that users of this server are only invited to."""
        number = await q.fetchval(ROOM_NUMBER, room_id)
        return None if number is None else int(number)

    async def inside(self, q: Queries, room_nid: int, after: str, limit: int) -> list[tuple[str, str]]:
        """Users of this server who are in the room, invited or waiting, with their membership; in order."""
        rows = await q.fetch(INSIDE, room_nid, self.server_name, after, limit)
        return [(row[0], row[1]) for row in rows]

    async def aliases(self, q: Queries, room_nid: int) -> list[str]:
        """Names of the room, in order."""
        return [row[0] for row in await q.fetch(ALIASES, room_nid)]

    async def close(self, q: Queries, room_nid: int, outlier_flag: int) -> None:
        """From now on this server is not in the room. Two statements."""
        await q.execute(CLOSE, room_nid)
        await q.execute(KEEP_DEPARTURES, room_nid, self.server_name, outlier_flag)

    async def delete_some(self, q: Queries, stage: int, room_nid: int, room_id: str) -> bool:
        """A batch of what the stage is for; False where nothing is left of it. Stages: 0 up to `STAGES`."""
        if stage < len(BY_ROOM):
            table, column = BY_ROOM[stage]
            return await self._delete_rows(q, table, column, room_nid if column == "room_nid" else room_id)
        stage -= len(BY_ROOM)
        if stage == 0:
            return bool(await q.fetchval(EVENTS_OF_ROOM, room_nid, EVENTS_AT_ONCE))
        if stage == 1:
            return bool(await q.fetchval(EVENTS_ASIDE, room_nid, EVENTS_AT_ONCE, self.server_name))
        if stage < 2 + len(AFTER_EVENTS):
            return await self._delete_rows(q, *AFTER_EVENTS[stage - 2], room_nid)
        await q.execute(FORGET_ROOM, room_nid)
        return False

    async def _delete_rows(self, q: Queries, table: str, column: str, room: int | str) -> bool:
        stays = STAYS.get(table)
        unless = "" if stays is None else f"AND {stays}"
        statement = DELETE_SOME.format(table=table, column=column, unless=unless, limit=ROWS_AT_ONCE)
        done = await q.execute(statement, room, *([] if stays is None else [self.server_name]))
        return done != "DELETE 0"

    async def purge(
        self, q: Queries, room_nid: int, after: int, before: int, outlier_flag: int, *, local_too: bool
    ) -> int | None:  # fmt: skip
        """A stretch of history between two positions; returns where to go on, None at the end. Two statements."""
        end = await q.fetchval(END_OF_STRETCH, room_nid, after, before, EVENTS_AT_ONCE)
        if end is None:
            return None
        await q.fetchval(PURGE, room_nid, after, before, EVENTS_AT_ONCE, self.server_name, local_too, outlier_flag)
        return int(end)

    async def mark_hole(self, q: Queries, room_nid: int) -> None:
        """What was purged leaves a hole, into which nothing is fetched."""
        await q.execute(MARK_HOLE, room_nid)

    async def purge_aside(self, q: Queries, room_nid: int, after: int, before: int, outlier_flag: int) -> int | None:
        """Messages of our users that were in this stretch and left the timeline before; otherwise as `purge`."""
        row = await q.fetchrow(PURGE_ASIDE, room_nid, after, before, EVENTS_AT_ONCE, self.server_name, outlier_flag)
        return None if row is None or row[1] is None else int(row[1])

    async def first_not_older(self, q: Queries, room_nid: int, ts: int) -> int | None:
        """The position up to which everything has an earlier time; None where nothing has."""
        row = await q.fetchrow(FIRST_NOT_OLDER, room_nid, ts)
        if row is None:
            return None
        return int(row[0]) + 1 if row[1] is None else int(row[1])


STAGES: Final = len(BY_ROOM) + 2 + len(AFTER_EVENTS) + 1

"""State before events (decision 0017): places of events on the line, `forked_states`, and the line as it was."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from homeserver.storage.events import COLUMNS

if TYPE_CHECKING:
    from asyncpg import Record

    from homeserver.storage.database import Queries

# `at`: events without position count by their number. `settled`: nothing has changed in the room's state since, but what
# the event itself set. Flag 8: rejected. `redacted_by`: redactions that were here before the event, and wait for it.
PLACES = """
SELECT w.event_id, e.event_nid, e.room_nid, e.position, e.flags, e.type, e.state_key,
       f.event_nid IS NOT NULL AS forked,
       f.event_nid IS NULL AND NOT EXISTS (
           SELECT FROM state_changes c WHERE c.room_nid = e.room_nid AND c.position >= coalesce(e.position, e.event_nid)
             AND NOT (c.position = e.position AND c.event_nid IS NOT DISTINCT FROM e.event_nid)
       ) AND (e.state_key IS NULL OR e.flags & 8 <> 0 OR EXISTS (
           SELECT FROM state_changes c WHERE c.room_nid = e.room_nid AND c.type = e.type AND c.state_key = e.state_key
             AND c.position = e.position AND c.event_nid = e.event_nid
       )) AS settled,
       ARRAY(SELECT redaction_id FROM redactions r WHERE r.redacts = w.event_id AND NOT r.applied) AS redacted_by
FROM unnest($1::text[]) AS w(event_id)
LEFT JOIN events e USING (event_id) LEFT JOIN forked_states f ON f.event_nid = e.event_nid
"""

# One row for each event of a difference, or one without event where there is no difference.
FORKED = """
SELECT f.event_nid, f.base_position, u.place <= cardinality(f.instead) AS holds, e.event_nid, e.event_id, e.type, e.state_key
FROM forked_states f
LEFT JOIN LATERAL unnest(f.instead || f.without) WITH ORDINALITY AS u(event_nid, place) ON true
LEFT JOIN events e ON e.event_nid = u.event_nid
WHERE f.event_nid = ANY($1::bigint[])
"""

# The state at positions as far as it was changed afterwards: what each key had then.
CHANGED_SINCE = """
SELECT p.position, c.type, c.state_key, s.event_nid, e.event_id
FROM unnest($2::bigint[]) AS p(position)
CROSS JOIN LATERAL (
    SELECT DISTINCT type, state_key FROM state_changes WHERE room_nid = $1 AND position > p.position
) c
LEFT JOIN LATERAL (
    SELECT event_nid FROM state_changes
    WHERE room_nid = $1 AND type = c.type AND state_key = c.state_key AND position <= p.position
    ORDER BY position DESC LIMIT 1
) s ON true
LEFT JOIN events e ON e.event_nid = s.event_nid
"""

# What has to be known to redact stored events: the state event after each repeats its content.
REDACTION_TARGETS = """
SELECT e.event_id, e.envelope, n.event_nid AS follower_nid
FROM events e LEFT JOIN LATERAL (
    SELECT c.event_nid FROM state_changes c
    WHERE c.room_nid = e.room_nid AND c.type = e.type AND c.state_key = e.state_key AND c.position > e.position
    ORDER BY c.position LIMIT 1
) n ON e.state_key IS NOT NULL
WHERE e.event_id = ANY($1::text[])
"""

# Events of a room that come into force: outliers, above all.
ENTRIES = f"SELECT {COLUMNS} FROM events e WHERE e.event_id = ANY($2::text[]) AND e.room_nid = $1"

REMEMBER_REDACTIONS = """
INSERT INTO redactions (redacts, redaction_id, room_nid)
SELECT redacts, redaction_id, $1 FROM unnest($2::text[], $3::text[]) AS g(redacts, redaction_id)
ON CONFLICT DO NOTHING
"""

REDACTIONS_APPLIED = "UPDATE redactions SET applied = true WHERE redacts = ANY($1::text[])"


@dataclass(frozen=True, slots=True)
class Place:
    """Where a stored event stands. `settled`: the state after it is the room's current state."""

    event_id: str
    event_nid: int
    room_nid: int
    position: int | None
    flags: int
    type: str
    state_key: str | None
    forked: bool
    settled: bool

    @property
    def at(self) -> int:
        """Its place on the line."""
        return self.event_nid if self.position is None else self.position


class EventStates:
    """Reads where events stand and what the state there was."""

    async def places(
        self, q: Queries, event_ids: Collection[str]
    ) -> tuple[dict[str, Place], dict[str, list[str]]]:  # fmt: skip
        """(stored events by id, ids of redactions that wait for an event by its id)."""
        rows = await q.fetch(PLACES, list(event_ids))
        places = {row["event_id"]: Place(*row[:9]) for row in rows if row["event_nid"] is not None}
        return places, {row["event_id"]: row["redacted_by"] for row in rows if row["redacted_by"]}

    async def forked(self, q: Queries, event_nids: Sequence[int]) -> list[Record]:
        """(event_nid, base_position, holds, event_nid, event_id, type, state_key) of differences; None for no event."""
        return await q.fetch(FORKED, event_nids)

    async def changed_since(self, q: Queries, room_nid: int, positions: Collection[int]) -> list[Record]:
        """(position, type, state_key, event_nid, event_id): the line at these positions, where it is otherwise now."""
        return await q.fetch(CHANGED_SINCE, room_nid, list(positions))

    async def entries(self, q: Queries, room_nid: int, event_ids: Collection[str]) -> list[Record]:
        """Events of the room with these ids, on the timeline or not, with the columns of events.COLUMNS."""
        return await q.fetch(ENTRIES, room_nid, list(event_ids))

    async def redaction_targets(self, q: Queries, event_ids: Collection[str]) -> list[Record]:
        """(event_id, envelope, follower_nid): the number of the state event that came after it at its key."""
        return await q.fetch(REDACTION_TARGETS, list(event_ids))

    async def remember_redactions(self, q: Queries, room_nid: int, waiting: Sequence[tuple[str, str]]) -> None:
        """(redacts, redaction id): they came before what they redact."""
        await q.execute(REMEMBER_REDACTIONS, room_nid, [each[0] for each in waiting], [each[1] for each in waiting])

    async def redactions_applied(self, q: Queries, redacts: Collection[str]) -> None:
        """What waited for these events has been done."""
        await q.execute(REDACTIONS_APPLIED, list(redacts))

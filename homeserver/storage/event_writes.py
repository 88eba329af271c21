"""The one statement that writes events of many rooms: events, tips, state, memberships, relations, transactions, counts.

It is composed of the parts that a batch needs: plain messages touch `rooms`, `events` and `event_transactions`
only, and each composition is a prepared statement of its own. The parts share the CTE `moved`: rooms whose tip
is still the one that the batch was built on. Whatever belongs to another room is not written (decision 4).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING

from asyncpg import UniqueViolationError

from homeserver.storage.columns import RELATED_BIT, Columns

if TYPE_CHECKING:
    from homeserver.storage.database import Queries

ENTRIES_PER_STATEMENT = 1_000
"""A room that we come into has tens of thousands; while arguments are encoded nobody else runs."""

MOVED = """
moved AS (
    UPDATE rooms r SET tip_version = t.new_version, depth = t.depth,
        -- JSON: the ids of room versions 1 and 2 may have any character.
        extremities = ARRAY(SELECT json_array_elements_text(t.extremities::json))
    FROM unnest($1::int[], $2::bigint[], $3::bigint[], $4::bigint[], $5::text[])
         AS t(room_nid, built_on, new_version, depth, extremities)
    WHERE r.room_nid = t.room_nid AND r.tip_version = t.built_on
    RETURNING r.room_nid
),
given AS (
    SELECT * FROM unnest($6::bigint[], $7::int[], $8::bigint[], $9::bigint[], $10::bigint[], $11::smallint[], $12::text[],
                         $13::text[], $14::text[], $15::text[], $16::bytea[], $17::bytea[], $18::bytea[], $19::text[])
         AS g(event_nid, room_nid, position, depth, origin_server_ts, flags, event_id, type, state_key, sender, body, envelope,
              unsigned, auth_nids)
    WHERE room_nid IN (SELECT room_nid FROM moved)
),
stored AS (
    INSERT INTO events (event_nid, room_nid, position, depth, origin_server_ts, flags, event_id, type, state_key, sender,
                        body, envelope, unsigned, auth_nids)
    SELECT event_nid, room_nid, position, depth, origin_server_ts, {1}, event_id, type, state_key, sender,
           body, envelope, unsigned, auth_nids::bigint[]
    FROM given{0}
)"""

FLAGS_OF_FOREIGN = "flags | " + RELATED_BIT.format("given.event_id", "given.room_nid")

# Events that are stored already, as outliers, and get their place now.
PLACED = f"""
placed AS (
    UPDATE events e SET position = g.position, flags = g.flags | {RELATED_BIT.format("e.event_id", "e.room_nid")},
        body = g.body, envelope = g.envelope, unsigned = g.unsigned
    FROM given g WHERE e.event_nid = g.event_nid AND e.event_nid = ANY(${{0}}::bigint[])
)"""
NOT_PLACED = " WHERE event_nid <> ALL(${0}::bigint[])"

# An entry without event takes its key away.
STATE = """
entries AS (
    SELECT * FROM unnest(${0}::int[], ${1}::text[], ${2}::text[], ${3}::bigint[], ${4}::bigint[], ${5}::text[], ${6}::text[])
         AS s(room_nid, type, state_key, position, event_nid, membership, sender)
    WHERE room_nid IN (SELECT room_nid FROM moved)
),
last AS (
    SELECT DISTINCT ON (room_nid, type, state_key) * FROM entries ORDER BY room_nid, type, state_key, position DESC
),
changed AS (
    INSERT INTO state_changes (room_nid, type, state_key, position, event_nid)
    SELECT room_nid, type, state_key, position, event_nid FROM entries
),
current AS (
    INSERT INTO current_state AS c (room_nid, type, state_key, event_nid, position)
    SELECT room_nid, type, state_key, event_nid, position FROM last WHERE event_nid IS NOT NULL
    ON CONFLICT (room_nid, type, state_key) DO UPDATE SET event_nid = excluded.event_nid, position = excluded.position
)"""

MEMBERS = """
members AS (
    INSERT INTO memberships (user_id, room_nid, membership, event_nid, position, sender)
    SELECT state_key, room_nid, membership, event_nid, position, sender FROM last WHERE membership IS NOT NULL
    ON CONFLICT (user_id, room_nid) DO UPDATE
    SET membership = excluded.membership, event_nid = excluded.event_nid, position = excluded.position,
        sender = excluded.sender, forgotten = false
),
inside AS (
    -- What was told of the room from outside is of the past.
    DELETE FROM stripped_states s USING last l
    WHERE l.membership IS NOT NULL AND s.user_id = l.state_key AND s.room_nid = l.room_nid
)"""

GONE = """
gone AS (
    DELETE FROM current_state c USING last l
    WHERE l.event_nid IS NULL AND c.room_nid = l.room_nid AND c.type = l.type AND c.state_key = l.state_key
),
gone_members AS (
    DELETE FROM memberships m USING last l
    WHERE l.event_nid IS NULL AND l.type = 'm.room.member' AND m.room_nid = l.room_nid AND m.user_id = l.state_key
)"""

FORKED = """
forked AS (
    INSERT INTO forked_states (event_nid, base_position, instead, without)
    SELECT g.event_nid, f.base_position, f.instead::bigint[], f.without::bigint[]
    FROM given g JOIN unnest(${0}::bigint[], ${1}::bigint[], ${2}::text[], ${3}::text[])
         AS f(event_nid, base_position, instead, without) USING (event_nid)
)"""

GAPS = """
gaps AS (
    INSERT INTO timeline_gaps (room_nid, low, high, missing)
    SELECT room_nid, low, high, ARRAY(SELECT json_array_elements_text(missing::json))
    FROM unnest(${0}::int[], ${1}::bigint[], ${2}::bigint[], ${3}::text[]) AS h(room_nid, low, high, missing)
    WHERE room_nid IN (SELECT room_nid FROM moved)
)"""

RELATIONS = """
related AS (
    INSERT INTO relations (event_nid, room_nid, position, parent_id, rel_type, type, sender, aggregation_key)
    SELECT g.event_nid, g.room_nid, g.position, r.parent_id, r.rel_type, g.type, g.sender, r.aggregation_key
    FROM given g JOIN unnest(${0}::bigint[], ${1}::text[], ${2}::text[], ${3}::text[])
         AS r(event_nid, parent_id, rel_type, aggregation_key) USING (event_nid)
)"""

TRANSACTIONS = """
transactions AS (
    INSERT INTO event_transactions (user_id, device_id, txn_key, event_nid, event_id, created_ms)
    SELECT t.user_id, t.device_id, t.txn_key, g.event_nid, g.event_id, t.created_ms
    FROM given g JOIN unnest(${0}::bigint[], ${1}::text[], ${2}::text[], ${3}::text[], ${4}::bigint[])
         AS t(event_nid, user_id, device_id, txn_key, created_ms) USING (event_nid)
    -- Another process' event for the same transaction: the primary key refuses, and the whole batch is retried one by one.
)"""

PUSH_ACTIONS = """
pushed AS (
    INSERT INTO push_actions (user_id, room_nid, position, thread_id, notify, highlight)
    SELECT p.user_id, g.room_nid, g.position, p.thread_id, p.notify, p.highlight
    FROM given g JOIN unnest(${0}::bigint[], ${1}::text[], ${2}::text[], ${3}::boolean[], ${4}::boolean[])
         AS p(event_nid, user_id, thread_id, notify, highlight) USING (event_nid)
)"""

STICKY = """
sticking AS (
    INSERT INTO sticky_events (room_nid, event_nid, expires_ms)
    SELECT g.room_nid, g.event_nid, s.expires_ms
    FROM given g JOIN unnest(${0}::bigint[], ${1}::bigint[]) AS s(event_nid, expires_ms) USING (event_nid)
)"""

REWRITTEN = """
forms AS (
    SELECT * FROM unnest(${0}::int[], ${1}::text[], ${2}::bytea[], ${3}::bytea[], ${4}::bytea[], ${5}::smallint[], ${6}::bigint[])
         AS d(room_nid, event_id, body, envelope, unsigned, flags, kept_ms)
    WHERE room_nid IN (SELECT room_nid FROM moved)
),
rewritten AS (
    UPDATE events e SET body = d.body, envelope = d.envelope, unsigned = d.unsigned, flags = d.flags | (e.flags & 512)
    FROM forms d WHERE e.event_id = d.event_id AND e.room_nid = d.room_nid
    RETURNING e.event_nid, e.flags
),
kept AS (
    -- All parts see the database as it was before the statement: this is what the event said.
    INSERT INTO redacted_bodies (event_nid, room_nid, body, redacted_ms)
    SELECT e.event_nid, e.room_nid, e.body, d.kept_ms
    FROM forms d JOIN events e ON e.event_id = d.event_id AND e.room_nid = d.room_nid
    WHERE d.kept_ms IS NOT NULL AND d.flags & 2 <> 0 AND e.flags & 2 = 0
    ON CONFLICT (event_nid) DO NOTHING
),
unrelated AS (
    -- A redacted event (flag 2) relates to nothing any more (spec: redactions remove m.relates_to).
    DELETE FROM relations r USING rewritten e WHERE r.event_nid = e.event_nid AND e.flags & 2 <> 0
)"""


class TransactionTakenError(Exception):
    """A device's transaction has become another event already."""


class EventStoredError(Exception):
    """An event is stored already: it came another way meanwhile."""


@dataclass(slots=True)
class EventWrites:
    """Rows of one batch. Field comments give the tuples' order."""

    # room_nid, tip_version built on, new tip_version, depth, extremities as JSON
    tips: Columns = field(default_factory=lambda: Columns(5))
    # event_nid, room_nid, position, depth, origin_server_ts, flags, event_id, type, state_key, sender, body, envelope,
    # unsigned, auth_nids as text
    events: Columns = field(default_factory=lambda: Columns(14))
    # event_nid: those of `events` that are stored already
    placed: Columns = field(default_factory=lambda: Columns(1))
    # room_nid, type, state_key, position, event_nid, membership, sender
    entries: Columns = field(default_factory=lambda: Columns(7))
    # event_nid, base_position, instead, without, both as text
    forked: Columns = field(default_factory=lambda: Columns(4))
    # room_nid, low, high, missing as JSON
    gaps: Columns = field(default_factory=lambda: Columns(4))
    # event_nid, parent_id, rel_type, aggregation_key
    relations: Columns = field(default_factory=lambda: Columns(4))
    # event_nid, user_id, device_id, txn_key, created_ms
    transactions: Columns = field(default_factory=lambda: Columns(5))
    # event_nid, user_id, thread_id, notify, highlight
    push_actions: Columns = field(default_factory=lambda: Columns(5))
    # event_nid, expires_ms
    sticky: Columns = field(default_factory=lambda: Columns(2))
    # room_nid, event_id, body, envelope, unsigned, flags, when it was redacted (None: what it said is not kept)
    rewritten: Columns = field(default_factory=lambda: Columns(7))
    has_members: bool = False
    has_gone: bool = False
    has_foreign: bool = False
    """Whether there are events of other servers, which may come after what relates to them."""

    @property
    def takes_several(self) -> bool:
        """Whether there is more than one statement to send: only in a transaction are they written together."""
        return len(self.entries.rows) > ENTRIES_PER_STATEMENT

    async def write(self, q: Queries) -> set[int]:
        """Write everything; returns the room_nids whose tip had not moved. Of other rooms nothing is written.

        Raises TransactionTakenError or EventStoredError, and then nothing at all is written.
        """
        first, *more = self.entries.parts(ENTRIES_PER_STATEMENT)
        moved = await self._write_first(q, first)
        for part in more if moved else ():
            await q.execute(_compose_more(*self._membership_parts()), list(moved), *part.arrays())
        return moved

    def _membership_parts(self) -> tuple[str, ...]:
        return (MEMBERS,) * self.has_members + (GONE,) * self.has_gone

    async def _write_first(self, q: Queries, entries: Columns) -> set[int]:
        optional = [
            (PLACED, self.placed),
            (STATE, entries),
            (FORKED, self.forked),
            (GAPS, self.gaps),
            (RELATIONS, self.relations),
            (TRANSACTIONS, self.transactions),
            (PUSH_ACTIONS, self.push_actions),
            (STICKY, self.sticky),
            (REWRITTEN, self.rewritten),
        ]
        present = [(part, columns) for part, columns in optional if columns.rows]
        arguments = [*self.tips.arrays(), *self.events.arrays()]
        for _, columns in present:
            arguments += columns.arrays()
        plain = self._membership_parts() if entries.rows else ()
        widths = tuple((part, columns.width) for part, columns in present)
        statement = _compose(widths, plain, FLAGS_OF_FOREIGN if self.has_foreign else "flags")
        try:
            return {row[0] for row in await q.fetch(statement, *arguments)}
        except UniqueViolationError as error:
            if error.constraint_name == "event_transactions_pkey":
                raise TransactionTakenError from error
            if error.constraint_name == "events_event_id":
                raise EventStoredError from error
            raise


@lru_cache(maxsize=256)
def _compose(parts: Sequence[tuple[str, int]], plain: Sequence[str], flags: str) -> str:
    """The statement for this combination of parts; parameters 1 to 19 belong to MOVED, further ones to parts in order.

    `plain`: parts without parameters of their own; `flags`: the flags of new events.
    """
    number = 20
    texts = [MOVED.format(NOT_PLACED.format(number) if parts and parts[0][0] is PLACED else "", flags)]
    for part, width in parts:
        texts.append(part.format(*range(number, number + width)))
        number += width
    return "WITH " + ",".join([*texts, *plain]) + "\nSELECT room_nid FROM moved"


@lru_cache(maxsize=8)
def _compose_more(*plain: str) -> str:
    """The statement for further entries of rooms that have moved: $1."""
    texts = ["moved AS (SELECT unnest($1::int[]) AS room_nid)", STATE.format(*range(2, 9)), *plain]
    return "WITH " + ",".join(texts) + "\nSELECT count(*) FROM last"

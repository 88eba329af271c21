"""The one statement that writes events of many rooms: events, tips, state, memberships, relations, transactions, counts.

It is composed of the parts that a batch needs: plain messages touch `rooms`, `events` and `event_transactions`
only, and each composition is a prepared statement of its own. The parts share the CTE `moved`: rooms whose tip
is still the one that the batch was built on. Whatever belongs to another room is not written (decision 4).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from asyncpg import UniqueViolationError

if TYPE_CHECKING:
    from homeserver.storage.database import Queries

MOVED = """
moved AS (
    UPDATE rooms r SET tip_version = t.new_version, depth = t.depth, extremities = string_to_array(t.extremities, ' ')
    FROM unnest($1::int[], $2::bigint[], $3::bigint[], $4::bigint[], $5::text[])
         AS t(room_nid, built_on, new_version, depth, extremities)
    WHERE r.room_nid = t.room_nid AND r.tip_version = t.built_on
    RETURNING r.room_nid
),
given AS (
    SELECT * FROM unnest($6::bigint[], $7::int[], $8::bigint[], $9::bigint[], $10::smallint[], $11::text[], $12::text[],
                         $13::text[], $14::text[], $15::bytea[], $16::bytea[], $17::bytea[])
         AS g(event_nid, room_nid, depth, origin_server_ts, flags, event_id, type, state_key, sender, body, envelope, unsigned)
    WHERE room_nid IN (SELECT room_nid FROM moved)
),
stored AS (
    INSERT INTO events (event_nid, room_nid, position, depth, origin_server_ts, flags, event_id, type, state_key, sender,
                        body, envelope, unsigned)
    SELECT event_nid, room_nid, event_nid, depth, origin_server_ts, flags, event_id, type, state_key, sender,
           body, envelope, unsigned
    FROM given
)"""

STATE = """
changed AS (
    INSERT INTO state_changes (room_nid, type, state_key, position, event_nid)
    SELECT room_nid, type, state_key, event_nid, event_nid FROM given WHERE state_key IS NOT NULL
),
current AS (
    INSERT INTO current_state AS c (room_nid, type, state_key, event_nid, position)
    SELECT DISTINCT ON (room_nid, type, state_key) room_nid, type, state_key, event_nid, event_nid
    FROM given WHERE state_key IS NOT NULL ORDER BY room_nid, type, state_key, event_nid DESC
    ON CONFLICT (room_nid, type, state_key) DO UPDATE SET event_nid = excluded.event_nid, position = excluded.position
)"""

MEMBERS = """
members AS (
    INSERT INTO memberships (user_id, room_nid, membership, event_nid, position, sender)
    SELECT DISTINCT ON (g.state_key, g.room_nid)
           g.state_key, g.room_nid, m.membership, g.event_nid, g.event_nid, g.sender
    FROM given g JOIN unnest(${0}::bigint[], ${1}::text[]) AS m(event_nid, membership) USING (event_nid)
    ORDER BY g.state_key, g.room_nid, g.event_nid DESC
    ON CONFLICT (user_id, room_nid) DO UPDATE
    SET membership = excluded.membership, event_nid = excluded.event_nid, position = excluded.position,
        sender = excluded.sender, forgotten = false
)"""

RELATIONS = """
related AS (
    INSERT INTO relations (event_nid, room_nid, parent_id, rel_type, type, sender, aggregation_key)
    SELECT g.event_nid, g.room_nid, r.parent_id, r.rel_type, g.type, g.sender, r.aggregation_key
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
    SELECT p.user_id, g.room_nid, g.event_nid, p.thread_id, p.notify, p.highlight
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
rewritten AS (
    UPDATE events e SET body = d.body, envelope = d.envelope, unsigned = d.unsigned, flags = d.flags
    FROM unnest(${0}::int[], ${1}::text[], ${2}::bytea[], ${3}::bytea[], ${4}::bytea[], ${5}::smallint[])
         AS d(room_nid, event_id, body, envelope, unsigned, flags)
    WHERE e.event_id = d.event_id AND e.room_nid = d.room_nid AND d.room_nid IN (SELECT room_nid FROM moved)
    RETURNING e.event_nid, e.flags
),
unrelated AS (
    -- A redacted event (flag 2) relates to nothing any more (spec: redactions remove m.relates_to).
    DELETE FROM relations r USING rewritten e WHERE r.event_nid = e.event_nid AND e.flags & 2 <> 0
)"""


class TransactionTakenError(Exception):
    """A device's transaction has become another event already."""


@dataclass(slots=True)
class Columns:
    """One unnest: rows given as tuples, sent as parallel arrays."""

    width: int
    rows: list[tuple[Any, ...]] = field(default_factory=list)

    def arrays(self) -> list[list[Any]]:
        return (
            [list(column) for column in zip(*self.rows, strict=True)] if self.rows else [[] for _ in range(self.width)]
        )


@dataclass(slots=True)
class EventWrites:
    """Rows of one batch. Field comments give the tuples' order."""

    # room_nid, tip_version built on, new tip_version, depth, extremities joined by spaces
    tips: Columns = field(default_factory=lambda: Columns(5))
    # event_nid, room_nid, depth, origin_server_ts, flags, event_id, type, state_key, sender, body, envelope, unsigned
    events: Columns = field(default_factory=lambda: Columns(12))
    # event_nid, membership
    members: Columns = field(default_factory=lambda: Columns(2))
    # event_nid, parent_id, rel_type, aggregation_key
    relations: Columns = field(default_factory=lambda: Columns(4))
    # event_nid, user_id, device_id, txn_key, created_ms
    transactions: Columns = field(default_factory=lambda: Columns(5))
    # event_nid, user_id, thread_id, notify, highlight
    push_actions: Columns = field(default_factory=lambda: Columns(5))
    # event_nid, expires_ms
    sticky: Columns = field(default_factory=lambda: Columns(2))
    # room_nid, event_id, body, envelope, unsigned, flags
    rewritten: Columns = field(default_factory=lambda: Columns(6))
    has_state: bool = False

    async def write(self, q: Queries) -> set[int]:
        """Write everything; returns the room_nids whose tip had not moved. Of other rooms nothing is written.

        Raises TransactionTakenError, and then nothing at all is written.
        """
        optional = [
            (MEMBERS, self.members),
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
        statement = _compose(self.has_state, tuple((part, columns.width) for part, columns in present))
        try:
            return {row[0] for row in await q.fetch(statement, *arguments)}
        except UniqueViolationError as error:
            if error.constraint_name == "event_transactions_pkey":
                raise TransactionTakenError from error
            raise


@lru_cache(maxsize=128)
def _compose(has_state: bool, parts: Sequence[tuple[str, int]]) -> str:
    """The statement for this combination of parts; parameters 1 to 17 belong to MOVED, further ones to parts in order."""
    texts = [MOVED]
    if has_state:
        texts.append(STATE)
    number = 18
    for part, width in parts:
        texts.append(part.format(*range(number, number + width)))
        number += width
    return "WITH " + ",".join(texts) + "\nSELECT room_nid FROM moved"

"""Tables `relations` and `threads`: what is told of events beside themselves ("Aggregations of child events")."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

from homeserver.storage.events import COLUMNS

if TYPE_CHECKING:
    from asyncpg import Record

    from homeserver.storage.columns import Columns
    from homeserver.storage.database import Queries

# What one answer is made of has an end, whatever others wrote: how many children are looked through for one that the reader
# may see, counted one by one, and named.
MAX_LOOKED_AT = 1_000
MAX_COUNTED = 10_000
MAX_EDITS = 100
MAX_REFERENCES = 1_000

NEW_CONTENT = b'"m.new_content":'

ERASED = "EXISTS (SELECT FROM users u WHERE u.user_id = e.sender AND u.erased) AS erased"

# $1 to $8: the events of which this is asked, `seen` what the reader sees of the room (a multirange as text), `whole` whether
# that is everything after the event. $9 the reader, $10 whom he ignores, $11 NEW_CONTENT.
# The newest reply of a thread has its own edits and references told.
READ = f"""
WITH wanted AS (
    SELECT w.event_id, w.room_nid, w.sender, w.type, w.seen::int8multirange AS seen, w.whole, w.redacted,
           own.rel_type AS own_type, coalesce(upper(w.seen::int8multirange) - 1, 9223372036854775807) AS last
    FROM unnest($1::bigint[], $2::text[], $3::int[], $4::text[], $5::text[], $6::text[], $7::boolean[], $8::boolean[])
         AS w(event_nid, event_id, room_nid, sender, type, seen, whole, redacted)
    LEFT JOIN relations own ON own.event_nid = w.event_nid
),
replied AS (
    SELECT newest.*, w.event_id AS parent_id, w.seen, w.last,
           CASE WHEN w.whole THEN t.replies - (
               SELECT count(*) FROM (
                   SELECT FROM relations r
                   WHERE r.parent_id = w.event_id AND r.sender = ANY($10) AND r.rel_type = 'm.thread' AND r.room_nid = w.room_nid
                   LIMIT {MAX_COUNTED}
               ) AS ignored
           ) ELSE (
               SELECT count(*) FROM (
                   SELECT FROM relations r
                   WHERE r.parent_id = w.event_id AND r.rel_type = 'm.thread' AND r.room_nid = w.room_nid
                     AND r.position <@ w.seen AND r.sender <> ALL($10)
                   LIMIT {MAX_COUNTED}
               ) AS told
           ) END AS replies,
           w.sender = $9 OR EXISTS (
               SELECT FROM relations r
               WHERE r.parent_id = w.event_id AND r.sender = $9 AND r.rel_type = 'm.thread' AND r.room_nid = w.room_nid
                 AND r.position <@ w.seen
           ) AS participated
    FROM wanted w
    JOIN threads t ON t.room_nid = w.room_nid AND t.root_id = w.event_id
    CROSS JOIN LATERAL (
        SELECT {COLUMNS} FROM (
            SELECT r.event_nid, r.position, r.sender FROM relations r
            WHERE r.parent_id = w.event_id AND r.rel_type = 'm.thread' AND r.room_nid = w.room_nid AND r.position <= w.last
            ORDER BY r.position DESC LIMIT {MAX_LOOKED_AT}
        ) r JOIN events e USING (event_nid)
        WHERE r.position <@ w.seen AND r.sender <> ALL($10)
        ORDER BY r.position DESC LIMIT 1
    ) newest
    -- "It is not possible to create a thread from an event which itself is the child of an event relationship".
    WHERE w.own_type IS NULL
),
parents AS (
    SELECT event_id, room_nid, sender, type, seen, last, redacted, own_type FROM wanted
    UNION ALL
    SELECT event_id, room_nid, sender, type, seen, last, flags & 2 <> 0, 'm.thread' FROM replied
    WHERE flags & 512 <> 0 AND state_key IS NULL AND event_id NOT IN (SELECT event_id FROM wanted)
),
edited AS (
    SELECT newest.*, p.event_id AS parent_id
    FROM parents p
    CROSS JOIN LATERAL (
        SELECT {COLUMNS} FROM (
            SELECT r.event_nid FROM relations r
            WHERE r.parent_id = p.event_id AND r.sender = p.sender AND r.rel_type = 'm.replace' AND r.room_nid = p.room_nid
              AND r.type = p.type AND r.position <= p.last
            ORDER BY r.position DESC LIMIT {MAX_EDITS}
        ) r JOIN events e USING (event_nid)
        WHERE e.position <@ p.seen AND e.state_key IS NULL
          AND (e.type = 'm.room.encrypted' OR position($11::bytea IN e.body) > 0)
        ORDER BY e.origin_server_ts DESC, e.event_id DESC LIMIT 1
    ) newest
    -- The root of a thread by somebody who is ignored is shown without its words; so it stays.
    WHERE NOT p.redacted AND p.own_type IS DISTINCT FROM 'm.replace' AND p.sender <> ALL($10)
),
referred AS (
    SELECT p.event_id AS parent_id, array_agg(r.event_id ORDER BY r.position) AS event_ids
    FROM parents p
    CROSS JOIN LATERAL (
        SELECT e.event_id, r.position FROM relations r JOIN events e USING (event_nid)
        WHERE r.parent_id = p.event_id AND r.rel_type = 'm.reference' AND r.room_nid = p.room_nid AND r.position <= p.last
          AND r.position <@ p.seen AND r.sender <> ALL($10)
        ORDER BY r.position DESC LIMIT {MAX_REFERENCES}
    ) r
    GROUP BY p.event_id
)
SELECT {COLUMNS}, e.parent_id, 'm.thread' AS rel_type, {ERASED}, e.replies, e.participated, NULL::text[] AS event_ids
FROM replied e
UNION ALL
SELECT {COLUMNS}, e.parent_id, 'm.replace', {ERASED}, NULL, NULL, NULL FROM edited e
UNION ALL
SELECT NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL,
       parent_id, 'm.reference', false, NULL, NULL, event_ids
FROM referred
"""


class Aggregations:
    """One statement for any number of events, of any rooms."""

    async def read(self, q: Queries, parents: Columns, reader: str, ignored: Collection[str]) -> list[Record]:
        """Rows by `parent_id` and `rel_type`: the newest reply or edit with the columns of events.COLUMNS, or `event_ids`.
        `erased`: its sender has erased himself.

        `parents`: (event_nid, event_id, room_nid, sender, type, seen, whole, redacted), none of them state.
        """
        return await q.fetch(READ, *parents.arrays(), reader, list(ignored), NEW_CONTENT)

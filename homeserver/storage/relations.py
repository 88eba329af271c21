"""Tables `relations` and `threads`, read: pages of the events that relate to one, and of a room's threads."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING

from homeserver.storage.events import COLUMNS

if TYPE_CHECKING:
    from asyncpg import Record

    from homeserver.storage.database import Queries

# How much of what others wrote one statement goes through: a page that finds less than it wants goes on from there.
LOOK_AT = 10_000
MAX_IN_TREE = 5_000

# $1 parent, $2 room, $3 and $4 positions, $5 what the reader sees, $6 whom he ignores, $7 event type, $8 limit, $9 rel_type.
CHILDREN = """
SELECT {columns}, b.boundary FROM (
    SELECT (
        SELECT position FROM relations r
        WHERE parent_id = $1 AND r.room_nid = $2 AND {kind} AND position > $3 AND position <= $4
        ORDER BY position {order} OFFSET {look_at} LIMIT 1
    ) AS boundary
) b LEFT JOIN LATERAL (
    SELECT {columns} FROM relations r JOIN events e USING (event_nid)
    WHERE r.parent_id = $1 AND {kind} AND r.position > $3 AND r.position <= $4 AND r.position {within}
      AND r.room_nid = $2 AND r.position <@ $5::text::int8multirange AND ($7::text IS NULL OR r.type = $7)
      AND (e.state_key IS NOT NULL OR r.sender <> ALL($6::text[]))
    ORDER BY r.position {order} LIMIT $8
) e ON true
ORDER BY e.position {order}
"""

# The same with events that relate to those, and so on. Each event has one parent, so only the depth can be without end. What
# relates to an event comes after it: behind the last place that is wanted nothing is followed.
TREE = """
WITH RECURSIVE tree AS (
    (
        SELECT r.event_nid, e.event_id, 1 AS depth FROM relations r JOIN events e USING (event_nid)
        WHERE r.parent_id = $1 AND r.position <= $4 AND r.room_nid = $2 AND {kind} AND ($7::text IS NULL OR r.type = $7)
        ORDER BY r.position {order} LIMIT {most}
    )
    UNION ALL
    SELECT r.event_nid, e.event_id, t.depth + 1
    FROM tree t JOIN relations r ON r.parent_id = t.event_id JOIN events e ON e.event_nid = r.event_nid
    WHERE t.depth < {depth} AND r.position <= $4 AND r.room_nid = $2 AND {kind} AND ($7::text IS NULL OR r.type = $7)
),
found AS (
    SELECT DISTINCT event_nid FROM (SELECT event_nid FROM tree LIMIT {most}) AS bounded
)
SELECT {columns}, NULL::bigint AS boundary FROM found JOIN events e USING (event_nid)
WHERE e.position > $3 AND e.position <= $4 AND e.position <@ $5::text::int8multirange AND e.event_id <> $1
  AND (e.state_key IS NOT NULL OR e.sender <> ALL($6::text[]))
ORDER BY e.position {order} LIMIT $8
"""

# $1 room, $2 newest position, $3 what the reader sees, $4 whom he ignores, $5 the reader, $6 whether he has to have taken part,
# $7 limit. `told`: up to where the reader sees the room.
THREADS = f"""
SELECT {COLUMNS}, e.latest_position, b.boundary FROM (
    SELECT (
        SELECT latest_position FROM threads WHERE room_nid = $1 AND latest_position <= $2
        ORDER BY latest_position DESC OFFSET {LOOK_AT - 1} LIMIT 1
    ) AS boundary,
    coalesce(upper($3::text::int8multirange) - 1, 9223372036854775807) AS last
) b LEFT JOIN LATERAL (
    SELECT {COLUMNS}, t.latest_position
    FROM threads t JOIN events e ON e.event_id = t.root_id AND e.room_nid = t.room_nid
    WHERE t.room_nid = $1 AND t.latest_position <= $2 AND t.latest_position >= coalesce(b.boundary, {-(2**63)})
      AND e.position <@ $3::text::int8multirange
      -- "It is not possible to create a thread from an event which itself is the child of an event relationship".
      AND NOT EXISTS (SELECT FROM relations own WHERE own.event_nid = e.event_nid)
      AND EXISTS (
          SELECT FROM (
              SELECT r.position, r.sender FROM relations r
              WHERE r.parent_id = t.root_id AND r.room_nid = $1 AND r.rel_type = 'm.thread' AND r.position <= b.last
              ORDER BY r.position DESC LIMIT 1000
          ) AS r
          WHERE r.position <@ $3::text::int8multirange AND r.sender <> ALL($4::text[])
      )
      AND (NOT $6 OR e.sender = $5 OR EXISTS (
          SELECT FROM relations r
          WHERE r.parent_id = t.root_id AND r.sender = $5 AND r.rel_type = 'm.thread' AND r.room_nid = $1
            AND r.position <@ $3::text::int8multirange
      ))
    ORDER BY t.latest_position DESC LIMIT $7
) e ON true
ORDER BY e.latest_position DESC
"""

# Edits of others are none.
DIRECT = """
SELECT e.event_id, r.sender FROM relations r JOIN events e USING (event_nid) LEFT JOIN events p ON p.event_id = r.parent_id
WHERE r.parent_id = $1 AND r.room_nid = $2 AND ($3::text[] IS NULL OR r.rel_type = ANY($3))
  AND ($4::text IS NULL OR r.sender = $4)
  AND (r.rel_type <> 'm.replace' OR (r.sender = p.sender AND r.type = p.type))
ORDER BY r.position DESC LIMIT $5
"""

ANY_KIND, ONE_KIND = "true", "r.rel_type = $9"


def _texts(template: str, **parts: object) -> dict[tuple[bool, bool], str]:
    """By (whether one kind is wanted, newest first): each is planned for itself."""
    return {
        (one_kind, newest_first): template.format(
            columns=COLUMNS,
            kind=ONE_KIND if one_kind else ANY_KIND,
            order="DESC" if newest_first else "ASC",
            within=">= coalesce(b.boundary, $3)" if newest_first else "<= coalesce(b.boundary, $4)",
            **parts,
        )
        for one_kind in (False, True)
        for newest_first in (False, True)
    }


MAX_DEPTH = 3
"""How deep `recurse` goes: "Homeservers SHOULD traverse at least 3 levels of relationships"."""

CHILDREN_TEXTS = _texts(CHILDREN, look_at=LOOK_AT - 1)
TREE_TEXTS = _texts(TREE, depth=MAX_DEPTH, most=MAX_IN_TREE)


@dataclass(frozen=True, slots=True)
class ChildrenWish:
    """Events that relate to `parent_id`, with ``after < position <= up_to``, among those that the reader sees (`seen`: a
    multirange as text) and without messages of those whom he ignores.
    """

    room_nid: int
    parent_id: str
    after: int
    up_to: int
    seen: str
    ignored: Collection[str]
    limit: int
    newest_first: bool = True
    rel_type: str | None = None
    event_type: str | None = None
    recurse: bool = False


class Relations:
    """Reads; events come as records with the columns of events.COLUMNS."""

    async def children(self, q: Queries, wish: ChildrenWish) -> tuple[list[Record], int | None]:
        """A page, and the position up to which was looked; None where nothing is left beyond the limit."""
        texts = TREE_TEXTS if wish.recurse else CHILDREN_TEXTS
        kind = () if wish.rel_type is None else (wish.rel_type,)
        rows = await q.fetch(
            texts[bool(kind), wish.newest_first], wish.parent_id, wish.room_nid, wish.after, wish.up_to, wish.seen,
            list(wish.ignored), wish.event_type, wish.limit, *kind,
        )  # fmt: skip
        boundary = rows[0]["boundary"] if rows else None
        return [row for row in rows if row["event_nid"] is not None], boundary

    async def direct(
        self,
        q: Queries,
        room_nid: int,
        parent_id: str,
        *,
        rel_types: Collection[str] | None,
        sender: str | None,
        limit: int,
    ) -> list[tuple[str, str]]:
        """(event id, sender) of the newest children of these kinds (None: of all), valid edits only; of one sender if given."""
        kinds = None if rel_types is None else list(rel_types)
        return [(row[0], row[1]) for row in await q.fetch(DIRECT, parent_id, room_nid, kinds, sender, limit)]

    async def threads(
        self, q: Queries, room_nid: int, *, reader: str, up_to: int, seen: str, ignored: Collection[str], limit: int,
        participated: bool,
    ) -> tuple[list[Record], int | None]:  # fmt: skip
        """Roots with `latest_position`, that of the newest reply, by which they come; and up to where was looked, as above."""
        rows = await q.fetch(THREADS, room_nid, up_to, seen, list(ignored), reader, participated, limit)
        return [row for row in rows if row["event_nid"] is not None], rows[0]["boundary"]

"""Tables `search_entries`, `search_progress`, `search_past`: the words of what was said, written after it, and searched."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from asyncpg import DataError, PostgresSyntaxError, Range

from homeserver.storage.events import COLUMNS

if TYPE_CHECKING:
    from asyncpg import Record

    from homeserver.storage.database import Queries

REDACTED: Final = 2
"""The bit of `events.flags`."""

PROGRESS = "SELECT position FROM search_progress"

# What matters to the index, in order. As for application services: most events have their number for a position, what was
# an outlier first has a later one. `boundary`: how far one step looks, so that a million other events do not hold it up.
EVENTS_AFTER = """
SELECT position, room_nid, type, state_key, sender, flags, body FROM (
    SELECT position, room_nid, type, state_key, sender, flags, body FROM events
    WHERE event_nid > $1 AND event_nid <= $2 AND position = event_nid AND type = ANY($3::text[])
    UNION ALL
    SELECT position, room_nid, type, state_key, sender, flags, body FROM events
    WHERE position > $1 AND position <= $2 AND position <> event_nid AND position > event_nid AND type = ANY($3::text[])
) found ORDER BY position
"""
BOUNDARY = """
SELECT event_nid FROM events WHERE event_nid > $1 AND event_nid <= $2 ORDER BY event_nid OFFSET $3 LIMIT 1
"""

PAST = "SELECT room_nid, low, high FROM search_past LIMIT 1"
EVENTS_OF_PAST = """
SELECT position, room_nid, type, state_key, sender, flags, body FROM events
WHERE room_nid = $1 AND position >= $2 AND position <= $3 AND type = ANY($4::text[])
"""
PAST_DONE = "DELETE FROM search_past WHERE room_nid = $1 AND low = $2 AND high = $3"
ADD_PAST = "INSERT INTO search_past (room_nid, low, high) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING"

# $1 to $3: entries; $4: ids of events that may have been redacted. {moved}: a condition of all of it.
WRITE = f"""
WITH moved AS (
    {{moved}}
), gone AS (
    DELETE FROM search_entries s USING events e, moved
    WHERE e.event_id = ANY($4::text[]) AND e.flags & {REDACTED} <> 0
      AND s.position = e.position AND s.room_nid = e.room_nid
)
INSERT INTO search_entries (position, room_nid, words)
SELECT g.position, g.room_nid, g.words::tsvector
FROM moved, unnest($1::bigint[], $2::int[], $3::text[]) AS g(position, room_nid, words)
ON CONFLICT (position, room_nid) DO NOTHING
"""
# $5, $6: the progress before and after. Nothing is written where somebody else has come further meanwhile.
WRITE_NEXT = WRITE.format(moved="UPDATE search_progress SET position = $6 WHERE position = $5 RETURNING position")
WRITE_MORE = WRITE.format(moved="SELECT 1")

# Marks of senders are short: somebody can choose a name that has another one's.
FORGET = """
DELETE FROM search_entries s USING events e
WHERE s.words @@ $1::tsquery AND e.room_nid = s.room_nid AND e.position = s.position AND e.sender = $2
"""

# What an entry has to be: it matches ($1) and does not match ($2), is below a place ($3) and within what the reader may see:
# rooms that he sees whole ($4), and others ($5) of which he sees stretches ($6 to $8). $9: it has to match this as well, which
# the index is not asked for. $10 to $12: others relate to it so. Sets of rooms are ranges, and nothing is joined: whatever the
# planner believes of such lists, it cannot go through them once for each entry.
CONDITIONS = """
    l.words @@ $1::tsquery AND l.position < $3
    AND ($2::tsquery IS NULL OR NOT l.words @@ $2::tsquery)
    AND ($4::int4multirange @> l.room_nid OR ($5::int4multirange @> l.room_nid AND EXISTS (
        SELECT FROM unnest($6::int[], $7::bigint[], $8::bigint[]) AS part(room_nid, first, last)
        WHERE part.room_nid = l.room_nid AND l.position BETWEEN part.first AND part.last
    )))
    AND ($9::tsquery IS NULL OR (l.words @@ $9::tsquery) IS TRUE)
    AND (NOT $10::boolean OR EXISTS (
        SELECT FROM events e JOIN relations r ON r.parent_id = e.event_id AND r.room_nid = e.room_nid
        WHERE e.room_nid = l.room_nid AND e.position = l.position
          AND ($11::text[] IS NULL OR r.sender = ANY($11)) AND ($12::text[] IS NULL OR r.rel_type = ANY($12))
    ))
"""
# $13: how many matches are looked at, the newest ones. Materialized, so that the index is asked for the words, and the entries
# are not gone through from the newest on until enough match.
AMONG_ALL = f"""
WITH matching AS MATERIALIZED (
    SELECT l.position, l.room_nid FROM search_entries l WHERE {CONDITIONS}
), newest AS MATERIALIZED (
    SELECT * FROM matching ORDER BY position DESC LIMIT $13
), hits AS MATERIALIZED (
    SELECT n.position, n.room_nid, s.words FROM newest n JOIN search_entries s USING (position, room_nid)
)"""
# $18: how many entries, the newest ones: words that are everywhere are found there, and would be costly everywhere.
AMONG_NEWEST = f"""
WITH looked AS MATERIALIZED (
    SELECT position, room_nid, words FROM search_entries WHERE position < $3 ORDER BY position DESC LIMIT $18
), hits AS MATERIALIZED (
    SELECT l.position, l.room_nid, l.words FROM looked l WHERE {CONDITIONS} ORDER BY l.position DESC LIMIT $13
)"""
# $14: what makes the rank; $15: how many are shown; $16, $17: behind which.
RANKED = "ts_rank(words, $14::tsquery, 1) AS rank"
NEWEST_PAGE = f"""
SELECT position, room_nid, {RANKED} FROM (SELECT * FROM hits ORDER BY position DESC LIMIT $15) h
WHERE $16::real IS NULL AND $17::bigint IS NULL"""
BEST_PAGE = f"""
SELECT * FROM (SELECT position, room_nid, {RANKED} FROM hits) h
WHERE $16::real IS NULL OR rank < $16 OR (rank = $16 AND position > $17::bigint)
ORDER BY rank DESC, position LIMIT $15"""
FOUND = f"""
{{hits}}, page AS MATERIALIZED ({{page}})
SELECT {COLUMNS}, r.room_id, r.version, page.rank, page.position AS place,
       (SELECT count(*) FROM hits) AS matches, {{looked}} AS looked
FROM (SELECT) one LEFT JOIN page ON true
LEFT JOIN events e ON e.room_nid = page.room_nid AND e.position = page.position
LEFT JOIN rooms r ON r.room_nid = page.room_nid
ORDER BY {{order}}
"""


def _found(*, newest: bool, by_rank: bool) -> str:
    return FOUND.format(
        hits=AMONG_NEWEST if newest else AMONG_ALL,
        page=BEST_PAGE if by_rank else NEWEST_PAGE,
        looked="(SELECT count(*) FROM looked)" if newest else "0::bigint",
        order="page.rank DESC, page.position" if by_rank else "page.position DESC",
    )


_STATEMENTS: Final = {
    (newest, by_rank): _found(newest=newest, by_rank=by_rank) for newest in (True, False) for by_rank in (True, False)
}

# The states of rooms that were upgraded say which room was before them.
CREATE_EVENTS = """
SELECT s.room_nid, e.body FROM current_state s JOIN events e USING (event_nid)
WHERE s.room_nid = ANY($1::int[]) AND s.type = 'm.room.create' AND s.state_key = ''
"""


class UnwritableEntriesError(Exception):
    """PostgreSQL does not take them for what they are: a mistake of ours that time does not heal."""


@dataclass(frozen=True, slots=True)
class NewEntry:
    """`words`: a tsvector as text."""

    position: int
    room_nid: int
    words: str


@dataclass(frozen=True, slots=True)
class Past:
    """Positions low to high of a room, both included."""

    room_nid: int
    low: int
    high: int


@dataclass(frozen=True, slots=True)
class Wish:
    """What to look for, as text queries. `whole`: rooms that the reader sees whole; `parts`: (room, first, last position) of
    others.
    """

    matching: str
    not_matching: str | None
    also_matching: str | None
    ranked_by: str
    whole: Sequence[int]
    parts: Sequence[tuple[int, int, int]]
    below: int
    """Positions less than this."""
    by_rank: bool
    most: int
    """Matches that are looked at, the newest ones."""
    limit: int
    after: tuple[float, int] | None = None
    """By rank: behind the match of this rank and position."""
    related: bool = False
    related_by_senders: Sequence[str] | None = None
    related_by_rel_types: Sequence[str] | None = None


@dataclass(frozen=True, slots=True)
class Found:
    """`rows`: a page, with the columns of events.COLUMNS (all None where the event is not there any more), room_id, version,
    rank and place. `looked`: how many entries were looked at, where these were the newest ones only.
    """

    rows: Sequence[Record]
    matches: int
    looked: int


class SearchEntries:
    """What is indexed, and how far."""

    async def progress(self, q: Queries) -> int:
        """Events up to this position have their entries."""
        return int(await q.fetchval(PROGRESS))

    async def boundary(self, q: Queries, after: int, up_to: int, events: int) -> int:
        """The position up to which there are about so many events, `up_to` at most."""
        found = await q.fetchval(BOUNDARY, after, up_to, events - 1)
        return up_to if found is None else int(found)

    async def events_after(self, q: Queries, after: int, up_to: int, types: Sequence[str]) -> list[Record]:
        """(position, room_nid, type, state_key, sender, flags, body) of events of these types, in order."""
        return await q.fetch(EVENTS_AFTER, after, up_to, types)

    async def write(
        self, q: Queries, entries: Sequence[NewEntry], redacted: Sequence[str], before: int, after: int
    ) -> None:
        """Add entries, take away those of events that are redacted, and move the progress: all or nothing.

        Raises UnwritableEntriesError.
        """
        try:
            await q.execute(WRITE_NEXT, *_columns(entries), redacted, before, after)
        except (DataError, PostgresSyntaxError) as error:
            raise UnwritableEntriesError from error

    async def add(self, q: Queries, entries: Sequence[NewEntry], redacted: Sequence[str]) -> None:
        """The same of what came into the past."""
        await q.execute(WRITE_MORE, *_columns(entries), redacted)

    async def forget(self, q: Queries, matching: str, sender: str) -> None:
        """Take away all entries of a sender. `matching`: a text query that finds them, and few others."""
        await q.execute(FORGET, matching, sender)

    async def next_past(self, q: Queries) -> Past | None:
        """A stretch of history that came later, and has no entries yet."""
        row = await q.fetchrow(PAST)
        return None if row is None else Past(*row)

    async def events_of_past(self, q: Queries, past: Past, types: Sequence[str]) -> list[Record]:
        """As `events_after`."""
        return await q.fetch(EVENTS_OF_PAST, past.room_nid, past.low, past.high, types)

    async def add_past(self, q: Queries, past: Past) -> None:
        """Within the transaction that brings the history."""
        await q.execute(ADD_PAST, past.room_nid, past.low, past.high)

    async def past_done(self, q: Queries, past: Past) -> None:
        """It has its entries."""
        await q.execute(PAST_DONE, past.room_nid, past.low, past.high)

    async def find(self, q: Queries, wish: Wish, newest: int | None = None) -> Found:
        """Matches; `newest`: among so many of the newest entries only."""
        parts = [list(column) for column in zip(*wish.parts, strict=True)] if wish.parts else [[], [], []]
        arguments = [
            wish.matching, wish.not_matching, wish.below, _ranges(wish.whole), _ranges(parts[0]), *parts, wish.also_matching,
            wish.related, wish.related_by_senders, wish.related_by_rel_types, wish.most, wish.ranked_by, wish.limit,
            *(wish.after or (None, None)),
        ]  # fmt: skip
        if newest is not None:
            arguments.append(newest)
        rows = await q.fetch(_STATEMENTS[newest is not None, wish.by_rank], *arguments)
        return Found([row for row in rows if row["place"] is not None], rows[0]["matches"], rows[0]["looked"])

    async def create_events(self, q: Queries, room_nids: Sequence[int]) -> dict[int, bytes]:
        """The bodies of these rooms' create events."""
        return {row[0]: row[1] for row in await q.fetch(CREATE_EVENTS, room_nids)}


def _columns(entries: Sequence[NewEntry]) -> tuple[list[int], list[int], list[str]]:
    return (
        [each.position for each in entries],
        [each.room_nid for each in entries],
        [each.words for each in entries],
    )


def _ranges(room_nids: Sequence[int]) -> list[Range]:
    """A set of numbers as PostgreSQL looks into it quickly."""
    return [Range(nid, nid, upper_inc=True) for nid in sorted(set(room_nids))]

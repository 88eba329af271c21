"""POST /search: pages of what was found."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from homeserver.protocol.errors import Unavailable
from homeserver.protocol.room_versions import ROOM_VERSIONS
from homeserver.services.fair_turns import FairTurns
from homeserver.services.requester import Requester
from homeserver.services.rooms.stored import to_timeline_event
from homeserver.services.rooms.timeline_event import REDACTED, TimelineEvent
from homeserver.services.search.entries import searched_text
from homeserver.services.search.highlights import highlights
from homeserver.services.search.places import parse_place
from homeserver.services.search.request import SearchRequest
from homeserver.services.search.results import Hit, Results
from homeserver.services.search.scope import FindScope, Scope
from homeserver.services.search.showing import ShowHits, ShownHit
from homeserver.services.search.terms import Term, parse_term
from homeserver.services.search.wishes import wish_for
from homeserver.storage.positions import StreamPosition
from homeserver.storage.search_entries import Found, SearchEntries, Wish

if TYPE_CHECKING:
    from asyncpg import Record

    from homeserver.services.timeline.presentation import IgnoredUsers
    from homeserver.storage.database import Database

LOOK_AT_NEWEST: Final = 4_000
"""Entries that are looked at without the index: a word that is everywhere is found often enough among them."""
TIME_LIMIT_MS: Final = 3_000
AT_ONCE: Final = 3
"""Searches, one of each user; others wait, so that they do not take all connections."""

CatchUp = Callable[[], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class SearchPage:
    """`groups`: by key and value, as clients get them. `count` is exact up to a few hundred, and a lower bound beyond."""

    count: int
    highlights: Sequence[str]
    results: Sequence[ShownHit]
    groups: Mapping[str, Mapping[str, dict[str, Any]]]
    state: Mapping[str, list[bytes]]
    next_batch: str | None


NOTHING: Final = SearchPage(0, (), (), {}, {}, None)


@dataclass(frozen=True, slots=True)
class SearchMessages:
    """One verb; a constant number of statements, whatever is found."""

    database: Database
    entries: SearchEntries
    find_scope: FindScope
    show: ShowHits
    ignored: IgnoredUsers
    catch_up: CatchUp
    stream: StreamPosition
    turns: FairTurns = field(default_factory=lambda: FairTurns(AT_ONCE))

    async def __call__(self, reader: Requester, request: SearchRequest, token: str | None) -> SearchPage:
        """Raises InvalidParam for a token of another search, Unavailable where it takes too long."""
        term = parse_term(request.term)
        place = None if token is None else parse_place(token, request.identity, by_rank=request.by_rank)
        async with self.turns.of(reader.user_id):
            await self.catch_up()
            up_to = self.stream.current if place is None else min(place.up_to, self.stream.current)
            room_id = place.group[1] if place is not None and place.group and place.group[0] == "room_id" else None
            scope = await self.find_scope(reader.user_id, request.filter, room_id)
            wish = wish_for(term, request, scope, await self.ignored(reader.user_id), up_to, place)
            if wish is None:
                return NOTHING
            found = await self._find(wish)
        count = found.matches if place is None or place.count is None else place.count
        group = None if place is None else place.group
        return await self._page(reader, request, term, scope, found, Results(request, up_to, count, group))

    async def _find(self, wish: Wish) -> Found:
        newest = await self.entries.find(self.database, wish, LOOK_AT_NEWEST)
        enough = wish.most if wish.by_rank else wish.limit
        if newest.looked < LOOK_AT_NEWEST or newest.matches >= enough:
            return newest
        try:
            async with self.database.transaction(read_only=True) as tx:
                await tx.execute("SELECT set_config('statement_timeout', $1, true)", str(TIME_LIMIT_MS))
                return await self.entries.find(tx, wish)
        except Unavailable:
            if newest.matches:
                return newest
            raise

    async def _page(
        self, reader: Requester, request: SearchRequest, term: Term, scope: Scope, found: Found, results: Results
    ) -> SearchPage:
        shown = await self.show(reader, request.context, scope, _hits(found.rows))
        events = [each.hit.event for each in shown]
        is_full = len(found.rows) == request.limit
        return SearchPage(
            count=results.count,
            highlights=highlights(term, [text for event in events if (text := _text(event)) is not None]),
            results=shown,
            groups=results.groups([each.hit for each in shown], more=is_full),
            state=await self.show.states(scope, {event.room_id for event in events}) if request.include_state else {},
            next_batch=results.behind(found.rows[-1]["place"], found.rows[-1]["rank"]) if is_full else None,
        )


def _hits(rows: Sequence[Record]) -> list[Hit]:
    """Entries are behind the events: what is redacted or gone by now is found no more."""
    hits = []
    for row in rows:
        version = ROOM_VERSIONS.get(row["version"] or "")
        if row["event_id"] is not None and version is not None and not row["flags"] & REDACTED:
            hits.append(Hit(to_timeline_event(row, row["room_id"]), version, row["rank"]))
    return hits


def _text(event: TimelineEvent) -> str | None:
    return searched_text(event.type, event.state_key, event.content)

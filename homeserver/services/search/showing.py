"""Results as JSON for one reader, with what was said around them."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

import orjson

from homeserver.protocol.content import text_of
from homeserver.protocol.room_versions import RoomVersion
from homeserver.services.relations.aggregations import Shown, with_relations
from homeserver.services.requester import Requester
from homeserver.services.rooms.rendering import render_event
from homeserver.services.rooms.stored import to_timeline_event
from homeserver.services.rooms.timeline_event import TimelineEvent
from homeserver.services.search.request import ContextWish
from homeserver.services.search.results import Hit
from homeserver.services.search.scope import Scope
from homeserver.services.timeline.presentation import Presenter
from homeserver.services.tokens import format_timeline_token
from homeserver.services.visibility import Seen, Visibility
from homeserver.storage.positions import StreamPosition
from homeserver.storage.search_results import SearchResults

if TYPE_CHECKING:
    from homeserver.services.timeline.presentation import IgnoredUsers
    from homeserver.storage.database import Queries

Place = tuple[str, int]
"""A room and a position there."""


class _Room(NamedTuple):
    room_id: str
    version: RoomVersion


@dataclass(frozen=True, slots=True)
class ShownContext:
    """JSON of events; `before` newest first, `after` oldest first. `profiles`: by user, of then."""

    before: Sequence[bytes]
    after: Sequence[bytes]
    start: str
    end: str
    profiles: Mapping[str, Mapping[str, str]] | None


@dataclass(frozen=True, slots=True)
class ShownHit:
    """A result, its JSON, and what is around it where that was asked for."""

    hit: Hit
    event: bytes
    context: ShownContext | None


@dataclass(slots=True)
class _Around:
    """Events around one hit, nearest first."""

    before: list[TimelineEvent] = field(default_factory=list)
    after: list[TimelineEvent] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class ShowHits:
    """A constant number of statements, however many hits."""

    queries: Queries
    results: SearchResults
    visibility: Visibility
    presenter: Presenter
    ignored: IgnoredUsers
    stream: StreamPosition

    async def __call__(
        self, reader: Requester, wish: ContextWish | None, scope: Scope, hits: Sequence[Hit]
    ) -> list[ShownHit]:
        """Those of the hits that the reader may see in full: nobody finds what was erased by its words."""
        if not hits:
            return []
        ignored = await self.ignored(reader.user_id)
        hits = [hit for hit in hits if hit.event.state_key is not None or hit.event.sender not in ignored]
        around = [_Around() for _ in hits] if wish is None else await self._around(wish, scope, hits, ignored)
        seen = await self._see(reader, scope, hits, around)
        hits_around = [
            (hit, near)
            for hit, near in zip(hits, around, strict=True)
            if (found := seen.get(_place(hit.event))) is not None and found.event.body is hit.event.body
        ]
        shown = await self._render(reader, scope, seen)
        profiles = await self._profiles(hits_around) if wish is not None and wish.profiles else None
        return [
            ShownHit(
                hit,
                shown[_place(hit.event)],
                None if wish is None else _context(hit, near, shown, None if profiles is None else profiles[number]),
            )
            for number, (hit, near) in enumerate(hits_around)
        ]

    async def _around(
        self, wish: ContextWish, scope: Scope, hits: Sequence[Hit], ignored: Collection[str]
    ) -> list[_Around]:
        """Within the stretch of history that the reader sees without a break."""
        found = [_Around() for _ in hits]
        if not hits or not (wish.before or wish.after):
            return found
        rows = await self.results.around(
            self.queries, [self._stretch(scope, hit) for hit in hits], wish.before, wish.after
        )
        for row in rows:
            near, hit = found[row["number"] - 1], hits[row["number"] - 1]
            event = to_timeline_event(row, hit.event.room_id)
            if event.state_key is not None or event.sender not in ignored:
                (near.before if row["is_before"] else near.after).append(event)
        return found

    def _stretch(self, scope: Scope, hit: Hit) -> tuple[int, int, int, int]:
        position = hit.event.position
        ranges = scope.perspectives[hit.event.room_id].history.ranges
        first, last = next((each for each in ranges if each[0] <= position <= each[1]), (position, position))
        return hit.event.room_nid, position, first, min(last, self.stream.current)

    async def _see(
        self, reader: Requester, scope: Scope, hits: Sequence[Hit], around: Sequence[_Around]
    ) -> dict[Place, Seen]:
        """Every event as the reader sees it, once."""
        pages: dict[str, tuple[_Room, dict[int, TimelineEvent]]] = {}
        for hit, near in zip(hits, around, strict=True):
            room = _Room(hit.event.room_id, hit.version)
            page = pages.setdefault(room.room_id, (room, {}))[1]
            # One and the same event may be a hit and be near another one.
            page.update({event.position: event for event in (*near.before, *near.after) if event.position not in page})
            page[hit.event.position] = hit.event
        seen = await self.visibility.seen_through(
            reader.user_id, [(room, list(events.values())) for room, events in pages.values()], scope.perspectives
        )
        return {_place(each.event): each for page in seen.values() for each in page}

    async def _render(self, reader: Requester, scope: Scope, seen: Mapping[Place, Seen]) -> dict[Place, bytes]:
        events = [each.event for each in seen.values()]
        await self.presenter.recall_transactions(reader, events)
        relations = await self.presenter.relations(reader, _pages(scope, events))
        now_ms = self.presenter.clock.now_ms()
        return {
            place: with_relations(
                render_event(event, reader=reader, now_ms=now_ms, room_id=event.room_id, membership=membership),
                relations.get(event.event_id),
            )
            for place, (event, membership) in seen.items()
        }

    async def _profiles(self, hits: Sequence[tuple[Hit, _Around]]) -> list[dict[str, dict[str, str]]]:
        """Of everybody who speaks in each hit or around it, as they were then."""
        wanted = [
            (number, hit.event.room_nid, sender, hit.event.position)
            for number, (hit, near) in enumerate(hits)
            for sender in dict.fromkeys(event.sender for event in (hit.event, *near.before, *near.after))
        ]
        found: list[dict[str, dict[str, str]]] = [{} for _ in hits]
        for number, user_id, body in await self.results.members_then(self.queries, wanted) if wanted else ():
            found[number][user_id] = _profile(orjson.loads(body).get("content"))
        return found

    async def states(self, scope: Scope, room_ids: Iterable[str]) -> dict[str, list[bytes]]:
        """State of rooms as the reader may see it: of now, or of when he left."""
        by_nid = {scope.rooms[room_id].room_nid: room_id for room_id in room_ids}
        if not by_nid:
            return {}
        rooms = [(room_nid, scope.perspectives[room_id].left_at) for room_nid, room_id in by_nid.items()]
        states: dict[str, list[TimelineEvent]] = {room_id: [] for room_id in by_nid.values()}
        for row in await self.results.states(self.queries, rooms):
            room_id = by_nid[row["room_nid"]]
            states[room_id].append(to_timeline_event(row, room_id))
        return {room_id: self.presenter.show_state(room_id, events) for room_id, events in states.items()}


def _place(event: TimelineEvent) -> Place:
    return event.room_id, event.position


def _pages(scope: Scope, events: Iterable[TimelineEvent]) -> list[Shown]:
    """The events by room, with what the reader sees there beside them."""
    by_room: dict[str, list[TimelineEvent]] = {}
    for event in events:
        by_room.setdefault(event.room_id, []).append(event)
    views = {room_id: scope.perspectives[room_id] for room_id in by_room}
    return [
        Shown(page, views[room_id].history.ranges, views[room_id].membership_at) for room_id, page in by_room.items()
    ]  # fmt: skip


def _context(
    hit: Hit, near: _Around, shown: Mapping[Place, bytes], profiles: Mapping[str, Mapping[str, str]] | None
) -> ShownContext:
    before = [event for event in near.before if _place(event) in shown]
    after = [event for event in near.after if _place(event) in shown]
    first, last = (before or [hit.event])[-1], (after or [hit.event])[-1]
    return ShownContext(
        [shown[_place(event)] for event in before],
        [shown[_place(event)] for event in after],
        format_timeline_token(first.position - 1),
        format_timeline_token(last.position),
        profiles,
    )


def _profile(content: Any) -> dict[str, str]:
    content = content if isinstance(content, dict) else {}
    told = {key: text_of(content, key) for key in ("displayname", "avatar_url")}
    return {key: text for key, text in told.items() if text is not None}

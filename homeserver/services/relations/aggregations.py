"""`unsigned.m.relations`: the newest edit of an event, its thread and what refers to it ("Aggregations of child events").

Events know from their flags whether there can be anything (RELATED): where none of them has the flag, nobody is asked.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from heapq import nlargest
from typing import TYPE_CHECKING, Final, NamedTuple

import orjson

from homeserver.protocol.relations import REFERENCE, REPLACEMENT, THREAD
from homeserver.protocol.visibility import FIRST_POSITION, LAST_POSITION, Range
from homeserver.services.clock import Clock
from homeserver.services.requester import Requester
from homeserver.services.rooms.rendering import render_event
from homeserver.services.rooms.stored import to_timeline_event
from homeserver.services.rooms.timeline_event import RELATED, TimelineEvent
from homeserver.storage.aggregations import Aggregations
from homeserver.storage.columns import Columns

if TYPE_CHECKING:
    from asyncpg import Record

    from homeserver.storage.database import Queries

MAX_PARENTS: Final = 1_000
"""Of one answer: more have none told, the oldest. A first sync of very many rooms asks for no more than a page of history."""


class Shown(NamedTuple):
    """Events of one room that are shown to a reader, and what else of the room he may see."""

    events: Sequence[TimelineEvent]
    ranges: Sequence[Range]
    membership_at: Callable[[int], str | None]
    """The reader's membership at a position; None where it is not known."""


@dataclass(frozen=True, slots=True)
class BundledAggregations:
    """One verb."""

    queries: Queries
    rows: Aggregations
    clock: Clock

    async def of(
        self, reader: Requester, pages: Iterable[Shown], ignored: Collection[str], *, with_room_ids: bool = True
    ) -> Mapping[str, bytes]:
        """`m.relations` in JSON, by event id, of those events that have any. One statement at most.

        `ignored`: users whose events count for nothing. `with_room_ids`: whether events in it say their room, as the events
        around them do.
        """
        asked = [(page, event) for page in pages for event in page.events if has_relations(event)]
        if not asked:
            return {}
        if len(asked) > MAX_PARENTS:
            asked = nlargest(MAX_PARENTS, asked, key=lambda each: each[1].position)
        parents = Columns(8, [_parent(event, page.ranges) for page, event in asked])
        rows = await self.rows.read(self.queries, parents, reader.user_id, ignored)
        places = {event.room_nid: (page, event.room_id) for page, event in asked}
        return _Bundling(reader, self.clock.now_ms(), places, with_room_ids).of_rows(rows)


@dataclass(frozen=True, slots=True)
class _Bundling:
    """Rows on their way into JSON. `places`: by room, what is shown of it and its id."""

    reader: Requester
    now_ms: int
    places: Mapping[int, tuple[Shown, str]]
    with_room_ids: bool
    parts: dict[str, dict[str, bytes]] = field(default_factory=dict)
    """What relates to each event, by its id and the kind."""

    def of_rows(self, rows: Iterable[Record]) -> Mapping[str, bytes]:
        """Threads last: their newest replies have edits and references of their own."""
        for row in sorted(rows, key=lambda row: row["rel_type"] == THREAD):
            part = self._part(row)
            if part is not None:
                self.parts.setdefault(row["parent_id"], {})[row["rel_type"]] = part
        return {event_id: _object(parts) for event_id, parts in self.parts.items()}

    def _part(self, row: Record) -> bytes | None:
        kind = row["rel_type"]
        if kind == REFERENCE:
            return b'{"chunk":%b}' % orjson.dumps([{"event_id": event_id} for event_id in row["event_ids"]])
        page, room_id = self.places[row["room_nid"]]
        event, membership = to_timeline_event(row, room_id), page.membership_at(row["position"])
        # As services/visibility.py has it: none but who got an erased user's event when it was sent is to have it.
        hidden = row["erased"] and membership != "join" and event.sender != self.reader.user_id
        if kind == REPLACEMENT:
            return None if hidden or not _replaces(event) else self._rendered(event, membership)
        return b'{"latest_event":%b,"count":%d,"current_user_participated":%b}' % (
            self._rendered(_emptied(event) if hidden else event, membership),
            row["replies"],
            b"true" if row["participated"] else b"false",
        )

    def _rendered(self, event: TimelineEvent, membership: str | None) -> bytes:
        room_id = event.room_id if self.with_room_ids else None
        rendered = render_event(
            event, reader=self.reader, now_ms=self.now_ms, room_id=room_id, membership=membership
        )  # fmt: skip
        parts = self.parts.get(event.event_id)
        return with_relations(rendered, None if parts is None else _object(parts))


def _object(parts: Mapping[str, bytes]) -> bytes:
    return b"{" + b",".join(b'"%b":%b' % (kind.encode(), part) for kind, part in parts.items()) + b"}"


def has_relations(event: TimelineEvent) -> bool:
    """Whether there may be anything to tell. "State events do not currently receive bundled aggregations." """
    return bool(event.flags & RELATED) and event.state_key is None


def with_relations(rendered: bytes, relations: bytes | None) -> bytes:
    """An event's JSON with its aggregations: `unsigned` ends it, and is never empty (services/rooms/rendering.py)."""
    return rendered if relations is None else b'%b,"m.relations":%b}}' % (rendered[:-2], relations)


def _parent(event: TimelineEvent, ranges: Sequence[Range]) -> tuple[object, ...]:
    whole = bool(ranges) and ranges[-1][0] <= event.position and ranges[-1][1] == LAST_POSITION
    return (
        event.event_nid, event.event_id, event.room_nid, event.sender, event.type, multirange(ranges), whole, event.is_redacted
    )  # fmt: skip


def multirange(ranges: Sequence[Range]) -> str:
    """Ranges as PostgreSQL writes them; those without an end are open, as the number behind the last one is none."""
    return (
        "{"
        + ",".join(f"[{_bound(first, FIRST_POSITION)},{_bound(last, LAST_POSITION)}]" for first, last in ranges)
        + "}"
    )


def _bound(position: int, infinite: int) -> str:
    return "" if position == infinite else str(position)


def _replaces(event: TimelineEvent) -> bool:
    """ "The replacement event (once decrypted, if appropriate) must have an `m.new_content` property." """
    return event.type == "m.room.encrypted" or "m.new_content" in event.content


def _emptied(event: TimelineEvent) -> TimelineEvent:
    """A message without what it said; all room versions redact those alike."""
    return event.with_form(orjson.dumps({**orjson.loads(event.body), "content": {}}), None, event.flags)

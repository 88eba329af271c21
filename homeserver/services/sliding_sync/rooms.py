"""The rooms of one answer: which parts, filled with timelines and state, and what they leave behind."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import orjson

from homeserver.protocol.filters import RoomEventFilter
from homeserver.services.clock import Clock
from homeserver.services.relations.aggregations import Shown
from homeserver.services.rooms.stored import to_timeline_event
from homeserver.services.sliding_sync.connections import Connection, Delta, Selection, SentRoom
from homeserver.services.sliding_sync.lists import was_sent_away
from homeserver.services.sliding_sync.parts import (
    Deciding,
    Kind,
    Part,
    departure_window,
    own_event_window,
)
from homeserver.services.sliding_sync.request import MAX_TIMELINE_LIMIT, SlidingRequest
from homeserver.services.sliding_sync.required_state import RoomConfig
from homeserver.services.sliding_sync.results import Results, RoomResult
from homeserver.services.sliding_sync.room_facts import Facts, RoomFacts
from homeserver.services.sliding_sync.room_state import RoomStates, note_members
from homeserver.services.sync.changes import RoomChanges
from homeserver.services.sync.encode import Encoder
from homeserver.services.sync.history import HiddenHistory
from homeserver.services.sync.rooms_invited import StrippedRooms
from homeserver.services.sync.snapshot import Snapshot
from homeserver.services.sync.sources import UnreadCounts, UnreadSource
from homeserver.services.sync.summary import Summaries, Summary
from homeserver.services.sync.timelines import Timelines
from homeserver.services.sync.window import Window
from homeserver.services.timeline.presentation import Presenter
from homeserver.services.visibility import Visibility
from homeserver.storage.memberships import Membership
from homeserver.storage.sliding_rooms import SlidingRooms

if TYPE_CHECKING:
    from homeserver.storage.database import Queries

EVERY_EVENT = RoomEventFilter()
NOTHING_UNREAD = UnreadCounts()


@dataclass(frozen=True, slots=True)
class Occasion:
    """What rooms are told from."""

    request: SlidingRequest
    connection: Connection
    snapshot: Snapshot
    selection: Selection
    before: Selection
    """What was selected where the look begins."""
    facts: Mapping[str, Facts]
    changes: RoomChanges
    own_receipts: Collection[str]
    """Rooms in which the reader's own receipts have changed what is unread."""

    @property
    def user_id(self) -> str:
        return self.request.user_id


@dataclass(slots=True)
class ToldRooms:
    """Results by room id, and the rooms whose timelines begin anew or earlier than before."""

    results: dict[str, RoomResult] = field(default_factory=dict)
    anew: set[str] = field(default_factory=set)
    shown: set[int] = field(default_factory=set)
    """Numbers of all events in timelines."""
    delta: Delta = field(default_factory=Delta)


@dataclass(frozen=True, slots=True)
class SlidingRoomParts:
    """One verb. Every step takes all rooms at once."""

    queries: Queries
    rows: SlidingRooms
    facts: RoomFacts
    timelines: Timelines
    history: HiddenHistory
    states: RoomStates
    summaries: Summaries
    stripped: StrippedRooms
    visibility: Visibility
    presenter: Presenter
    unread: UnreadSource
    clock: Clock

    async def tell(self, occasion: Occasion) -> ToldRooms:
        """What there is to tell of the selected rooms, and what the client then knows."""
        parts = self._decide(occasion)
        if not parts:
            return ToldRooms()
        summaries = await self._fill(occasion, parts)
        results = await self._results(occasion, parts, summaries)
        anew = {part.room_id for part in parts if part.initial or part.expanded}
        shown = {event.event_nid for part in parts if part.window is not None for event in part.window.events}
        return ToldRooms(results, anew, shown, _delta(occasion, parts))

    def _decide(self, occasion: Occasion) -> list[Part]:
        snapshot, selection, own_receipts = occasion.snapshot, occasion.selection, occasion.own_receipts
        deciding = Deciding(
            snapshot.rooms,
            occasion.facts,
            occasion.connection.rooms,
            occasion.changes,
            occasion.before,
            snapshot.now.events,
            self.facts.cache,
        )
        decided = (
            deciding.part(room_id, config, is_dm=room_id in selection.dms, counts_changed=room_id in own_receipts)
            for room_id, config in selection.relevant.items()
        )
        return [part for part in decided if part is not None]

    # -- filling -----------------------------------------------------------------------------------

    async def _fill(self, occasion: Occasion, parts: Sequence[Part]) -> Mapping[str, Summary]:
        user_id = occasion.user_id
        await self._open_left(user_id, [part for part in parts if part.kind is Kind.LEFT])
        await self.states.read_changes(parts)
        if not occasion.request.takes_stubs:
            for part in parts:
                if part.deleted:
                    # A client of the older shape cannot be told that something is gone.
                    part.begin_again(self.facts.cache)
        windows = [part.window for part in parts if part.window is not None and part.kind is not Kind.DECLINED]
        await self._read_timelines(user_id, windows, occasion.snapshot.ignored)
        note_members(parts)
        joined = [part.window for part in parts if part.kind is Kind.JOINED and part.window is not None]
        summaries = await self.summaries.read(user_id, joined)
        await self.states.read_told(parts, summaries, occasion.connection.members_key)
        return summaries

    async def _read_timelines(self, user_id: str, windows: Sequence[Window], ignored: frozenset[str]) -> None:
        await self.timelines.read(windows, EVERY_EVENT, MAX_TIMELINE_LIMIT, ignored)
        hiding = await self.history.look(user_id, windows)
        if hiding:
            await self.timelines.read(hiding, EVERY_EVENT, MAX_TIMELINE_LIMIT, ignored)
        await self.history.hide_erased(windows)

    async def _open_left(self, user_id: str, parts: Sequence[Part]) -> None:
        """Windows of rooms that the reader is out of: at most two statements."""
        entries = [part.entry for part in parts if part.entry is not None]
        if not entries:
            return
        perspectives = await self.visibility.read_perspectives(user_id, entries)
        declined = []
        for part in parts:
            part.window = departure_window(part, perspectives[part.room_id], self.facts.cache)
            if part.window is None:
                part.kind, part.initial = Kind.DECLINED, False
                declined.append(part)
        if declined:
            places = [(part.entry.room_nid, part.entry.position) for part in declined if part.entry is not None]
            rows = await self.rows.own_memberships(self.queries, user_id, places)
            by_room = {row[2]: row for row in rows}
            for part in declined:
                assert part.entry is not None
                row = by_room.get(part.entry.room_nid)
                if row is not None:
                    part.window = own_event_window(part.entry, to_timeline_event(row, part.room_id))

    # -- results -----------------------------------------------------------------------------------

    async def _results(
        self, occasion: Occasion, parts: Sequence[Part], summaries: Mapping[str, Summary]
    ) -> dict[str, RoomResult]:
        request, base = occasion.request, occasion.connection.base.token
        await self.presenter.recall_transactions(
            request.requester, [event for part in parts if part.window is not None for event in part.window.events]
        )  # fmt: skip
        encoder = Encoder(request.requester, self.clock.now_ms())
        encoder.relations = await self.presenter.bundled.of(
            request.requester, _told_with_relations(parts), occasion.snapshot.ignored, with_room_ids=False
        )
        results = Results(
            encoder,
            summaries,
            await self._bumps(parts, occasion.facts),
            await self._unread(request, parts),
            await self._stripped(request.user_id, parts),
            occasion.selection.dms,
            None if base is None else base.events,
        )
        told: dict[str, RoomResult] = {}
        for part in parts:
            result = results.of(part)
            if result is not None:
                told[part.room_id] = result
        _add_lists(occasion.selection, told)
        return told

    async def _bumps(self, parts: Iterable[Part], facts: Mapping[str, Facts]) -> Mapping[str, int | None]:
        """Of rooms in whose past something may have happened that their timelines do not show."""
        unsure = [
            part.entry
            for part in parts
            if part.kind is Kind.JOINED
            and part.entry is not None
            and part.room_id in facts
            and (part.initial or part.config.timeline_limit == 0 or (part.window is not None and part.window.limited))
        ]
        return await self.facts.bumps(unsure, facts) if unsure else {}

    async def _unread(self, request: SlidingRequest, parts: Iterable[Part]) -> Mapping[str, UnreadCounts]:
        joined = [part.room_id for part in parts if part.kind is Kind.JOINED]
        if not request.wants_counts or not joined:
            return {}
        found = await self.unread.counts(request.user_id, joined)
        return {room_id: found.get(room_id, NOTHING_UNREAD) for room_id in joined}

    async def _stripped(self, user_id: str, parts: Iterable[Part]) -> Mapping[str, Sequence[orjson.Fragment]]:
        entries: list[Membership] = [
            part.entry for part in parts if part.kind is Kind.OUTSIDE and part.entry is not None
        ]
        return await self.stripped.read(user_id, entries) if entries else {}


def _told_with_relations(parts: Iterable[Part]) -> list[Shown]:
    """Timelines before which the client may lack something, as in `GET /sync`."""
    return [
        part.window.shown
        for part in parts
        if part.window is not None and (part.initial or part.expanded or part.window.is_cut)
    ]


def _delta(occasion: Occasion, parts: Iterable[Part]) -> Delta:
    """What the client knows once the answer has arrived."""
    delta = Delta()
    for part in parts:
        delta.rooms[part.room_id] = _known_after(occasion, part)
        if part.members:
            delta.members[part.room_id] = part.members
        if part.window is not None and part.sent is not None and (part.initial or part.window.limited):
            delta.members_void.add(part.room_id)
    return delta


def _known_after(occasion: Occasion, part: Part) -> SentRoom | None:
    entry = part.entry
    if entry is None or part.kind is Kind.DECLINED:
        return None
    if part.kind is Kind.LEFT and not was_sent_away(entry, occasion.user_id):
        return None
    is_dm = part.room_id in occasion.selection.dms
    return SentRoom(occasion.snapshot.now.events, _known_config(part), entry.membership, entry.event_nid, is_dm)


def _known_config(part: Part) -> RoomConfig:
    """How much the client has now: no less of the timeline than before, unless there is a hole behind it."""
    config, sent, window = part.config, part.sent, part.window
    if sent is None or part.initial or part.expanded or window is None or window.limited:
        return config
    if sent.config.timeline_limit <= config.timeline_limit:
        return config
    return RoomConfig(sent.config.timeline_limit, config.required)


def _add_lists(selection: Selection, told: Mapping[str, RoomResult]) -> None:
    """ "The name of the lists that match this room"."""
    for name, room_ids in selection.windows.items():
        for room_id in room_ids:
            result = told.get(room_id)
            if result is not None:
                result.setdefault("lists", []).append(name)

"""Older history, fetched for a reader, into the gap of a timeline."""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from homeserver.protocol.errors import Unavailable
from homeserver.protocol.events import Event
from homeserver.services.foreign_events.arriving_redactions import ArrivingRedactions
from homeserver.services.foreign_events.auth_graphs import AuthGraphs
from homeserver.services.foreign_events.decider import Decider
from homeserver.services.foreign_events.knowledge import Knowledge, Lacking
from homeserver.services.foreign_events.loader import Loader
from homeserver.services.foreign_events.outcomes import Arrival, Outcome, ToldState, Verdict
from homeserver.services.foreign_events.past_line import filled_gap
from homeserver.services.foreign_events.receive_events import prepare_rewriting
from homeserver.services.foreign_events.room_locks import RoomLocks
from homeserver.services.foreign_events.room_states import RoomStates, marker_of
from homeserver.services.rooms.append import TipMoved
from homeserver.services.rooms.event_writer import EventWriter
from homeserver.services.rooms.live_room import LiveRoom
from homeserver.services.rooms.room_cache import RoomCache
from homeserver.storage.event_states import EventStates
from homeserver.storage.timeline_gaps import Gap

MAX_EVENTS = 1_000
"""Of one call: more are refused."""
MAX_TRIES = 20


@dataclass(frozen=True, slots=True)
class FillGap:
    """One verb. Nobody is told: it is the past."""

    cache: RoomCache
    writer: EventWriter
    loader: Loader
    graphs: AuthGraphs
    states: RoomStates
    rows: EventStates
    locks: RoomLocks

    async def __call__(
        self, room: LiveRoom, high: int, events: Sequence[Event], told: Sequence[ToldState]
    ) -> list[Verdict]:
        """Put events below the event at `high`, the top of a gap; a verdict for each, in the order given.

        The events (of any order) have passed steps 1 to 3 of the receipt, and their auth events are stored. They are what
        the gap misses and what that is built on; what they are built on themselves is here, is among them, or has its state
        `told`, and is missing from then on. Steps 4 and 5 are checked; the room's state now does not matter. REJECTED and
        not stored: what is not part of the gap, or built on what nobody told about. KNOWN for all where there is no such gap.
        Raises Unavailable.
        """
        async with self.locks.of(room.room_id):
            known = Knowledge(self.graphs.of(room.room_id))
            for _ in range(MAX_TRIES):
                room = await self.cache.get(room.room_id)
                gap = next((gap for gap in room.gaps if gap.high == high), None)
                if gap is None:
                    return [Verdict(event.event_id, Outcome.KNOWN) for event in events]
                try:
                    verdicts = await self._fill(room, gap, known, events, told)
                except TipMoved:
                    known = Knowledge(self.graphs.of(room.room_id))
                    continue
                if verdicts is not None:
                    return [verdicts[event.event_id] for event in events]
        raise Unavailable("The room is too busy, try again")

    async def _fill(
        self, room: LiveRoom, gap: Gap, known: Knowledge, events: Sequence[Event], told: Sequence[ToldState]
    ) -> dict[str, Verdict] | None:
        """None: something was lacking, and is not any more. Raises TipMoved."""
        arrivals, refused = _in_order(gap, events, told)
        known.follow(marker_of(room))
        await self.loader.prepare(room, known, arrivals, gap.missing)
        bottom = await self.states.line_before(room, gap.high)
        if marker_of(room) != known.marker or room.retired:
            return None
        decider = Decider(room, known, past=True)
        try:
            decider(arrivals)
            filled = filled_gap(decider, gap, bottom, _missing(gap, decider, arrivals))
        except Lacking as lacking:
            await self.loader.load(room, known, arrivals, lacking)
            return None
        if filled.events or list(filled.missing) != list(gap.missing):
            await self.writer.fill(room, filled)
            await self._carry_out(decider.redactions, room.room_id)
        return {verdict.event_id: verdict for verdict in (*decider.verdicts, *refused)}

    async def _carry_out(self, redactions: ArrivingRedactions, room_id: str) -> None:
        """What the history redacts may be newer than the gap, and here already."""
        for _ in range(MAX_TRIES):
            room = await self.cache.get(room_id)
            append = prepare_rewriting(room, redactions, self.rows)
            if append is None:
                return
            self.writer.submit(append)
            try:
                await asyncio.shield(append.done)
                return
            except TipMoved:
                continue
        raise Unavailable("The room is too busy, try again")


def _in_order(
    gap: Gap, events: Sequence[Event], told: Sequence[ToldState]
) -> tuple[list[Arrival], list[Verdict]]:  # fmt: skip
    """(events of the gap, each after those it is built on; others)."""
    room_for = max(0, min(MAX_EVENTS, gap.high - gap.low - 2))
    by_id = {event.event_id: event for event in events[:room_for]}
    part = _reached(gap.missing, by_id)
    ordered = _oldest_first({event_id: by_id[event_id] for event_id in part})
    arrivals = [Arrival(event, _told_of(event, told)) for event in ordered]
    taken = {event.event_id for event in ordered}
    return arrivals, [
        Verdict(event.event_id, Outcome.REJECTED, "It is not part of what is missing")
        for event in events
        if event.event_id not in taken
    ]


def _reached(event_ids: Iterable[str], events: dict[str, Event]) -> set[str]:
    reached: set[str] = set()
    to_visit = [event_id for event_id in event_ids if event_id in events]
    while to_visit:
        event_id = to_visit.pop()
        if event_id not in reached:
            reached.add(event_id)
            to_visit += [each for each in events[event_id].prev_event_ids if each in events]
    return reached


def _oldest_first(events: dict[str, Event]) -> list[Event]:
    """By the graph, and where that leaves it open by depth; those that are built on each other in a circle are left out."""
    waiting = {event_id: len(set(event.prev_event_ids) & events.keys()) for event_id, event in events.items()}
    following: dict[str, list[str]] = {}
    for event_id, event in events.items():
        for prev in set(event.prev_event_ids) & events.keys():
            following.setdefault(prev, []).append(event_id)
    ready = [_age(events[event_id]) for event_id, count in waiting.items() if not count]
    heapq.heapify(ready)
    ordered: list[Event] = []
    while ready:
        event = events[heapq.heappop(ready)[2]]
        ordered.append(event)
        for event_id in following.get(event.event_id, ()):
            waiting[event_id] -= 1
            if not waiting[event_id]:
                heapq.heappush(ready, _age(events[event_id]))
    return ordered


def _age(event: Event) -> tuple[int, int, str]:
    return event.depth, event.origin_server_ts, event.event_id


def _told_of(event: Event, told: Sequence[ToldState]) -> tuple[ToldState, ...]:
    return tuple(each for each in told if each.after_event_id in event.prev_event_ids)


def _missing(gap: Gap, decider: Decider, arrivals: Sequence[Arrival]) -> list[str]:
    """What has to be fetched next: prev events that are not here, of the event above the gap and of those put into it."""
    wanted = list(gap.missing)
    for arrival in arrivals:
        if arrival.event.event_id in decider.parts.events:
            wanted += arrival.event.prev_event_ids
    return [event_id for event_id in dict.fromkeys(wanted) if not decider.has_state(event_id)]

"""Fills a Knowledge: everything about all arrivals at once, so that their number does not matter."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from homeserver.protocol.auth import auth_types_for_event
from homeserver.protocol.events import Event
from homeserver.services.foreign_events.auth_graphs import AuthGraphs
from homeserver.services.foreign_events.knowledge import Knowledge, Lacking, LargeConflict
from homeserver.services.foreign_events.outcomes import Arrival
from homeserver.services.foreign_events.pdu_store import event_of
from homeserver.services.foreign_events.redaction_targets import RedactionTarget
from homeserver.services.foreign_events.room_states import RoomStates, has_state, marker_of, now_of
from homeserver.services.foreign_events.storable import askable
from homeserver.services.rooms.live_room import LiveRoom
from homeserver.services.rooms.stored import to_timeline_event
from homeserver.services.rooms.timeline_event import REJECTED
from homeserver.storage.event_states import EventStates
from homeserver.storage.events import Events
from homeserver.storage.pdus import Pdus

if TYPE_CHECKING:
    from homeserver.storage.database import Queries

log = logging.getLogger(__name__)

MAX_EVENTS = 50_000
"""Of one resolution: more are not loaded."""
ENTRIES_AT_ONCE = 2_000
"""Each statement's answer is decoded in one go: some 10 ms."""
PARSED_AT_ONCE = 200
"""More events than this are parsed in a thread."""


@dataclass(frozen=True, slots=True)
class Loader:
    """Each kind of thing takes one statement, or a few, for all arrivals together."""

    queries: Queries
    events: Events
    pdus: Pdus
    places: EventStates
    states: RoomStates
    graphs: AuthGraphs

    async def prepare(
        self, room: LiveRoom, known: Knowledge, arrivals: Sequence[Arrival], also: Iterable[str] = ()
    ) -> None:
        """What is needed in any case. Nothing is asked again as long as the room's state stays the same.

        `also`: other events of which has to be known whether they are here.
        """
        if known.prepared:
            return
        known.prepared, known.tip = True, frozenset(room.tip.extremities)
        wanted = {event_id for event_id in (*_named(room, arrivals), *also) if askable(event_id)}
        known.places, known.redacted_by = await self.places.places(self.queries, wanted)
        await self._load_targets(known, {arrival.event.redacts for arrival in arrivals if arrival.event.redacts})
        await self._load_waiting(room, known)
        await self._load_auth_events(room, known, arrivals)

    async def load(self, room: LiveRoom, known: Knowledge, arrivals: Sequence[Arrival], lacking: Lacking) -> None:
        """What was found to be lacking, and what is likely to be found next."""
        if lacking.places:
            await self._load_places(known, lacking.places)
        if lacking.states:
            await self._load_states(room, known, arrivals)
        if lacking.links:
            await self.graphs.load(known.auth, lacking.links)
            known.absent.update(each for each in lacking.links if each not in known.auth)
        if lacking.events:
            await self._load_events(known, lacking.events | self._likely(room, known, arrivals))
        if lacking.entries:
            await self._load_entries(room, known, lacking.entries)
        if lacking.numbers:
            await self._load_numbers(room, known, lacking.numbers)
        if lacking.fork is not None:
            await self._settle(room, known, lacking.fork)

    async def load_told(self, room: LiveRoom, known: Knowledge, arrival: Arrival) -> None:
        """All of the states that were told with an arrival, which will come into force."""
        now, told = now_of(room), {id(each.state): each.state for each in arrival.told}
        ids = {event_id for state in told.values() for key, event_id in state.items() if now(key) != event_id}
        missing = [event_id for event_id in ids if event_id not in known.entries and event_id not in known.absent]
        for start in range(0, len(missing), ENTRIES_AT_ONCE):
            await self._load_entries(room, known, missing[start : start + ENTRIES_AT_ONCE])

    # -- what is needed in any case ----------------------------------------------------------------

    async def _load_targets(self, known: Knowledge, event_ids: set[str]) -> None:
        wanted = {each for each in event_ids if each in known.places and known.places[each].position is not None}
        if not wanted:
            return
        rows = await self.places.redaction_targets(self.queries, wanted)
        followers = [row["follower_nid"] for row in rows if row["follower_nid"] is not None]
        numbers = [known.places[event_id].event_nid for event_id in wanted]
        records = await self.events.by_nids_with_rooms(self.queries, numbers + followers)
        by_number = {record["event_nid"]: to_timeline_event(record, record["room_id"]) for record in records}
        envelopes = await self.events.envelopes(self.queries, [event.event_id for event in by_number.values()])
        halves = {event_id: pair[1] for event_id, pair in envelopes.items()}
        for row in rows:
            event = by_number[known.places[row["event_id"]].event_nid]
            known.targets[event.event_id] = RedactionTarget(event, by_number.get(row["follower_nid"]), halves)

    async def _load_waiting(self, room: LiveRoom, known: Knowledge) -> None:
        """Redactions that came before one of the arrivals, and the state before them."""
        ids = {redaction_id for waiting in known.redacted_by.values() for redaction_id in waiting}
        if not ids:
            return
        places, _ = await self.places.places(self.queries, ids)
        known.places.update(places)
        here = [place for place in places.values() if place.room_nid == room.room_nid and has_state(place)]
        known.before.update(await self.states.views_before(room, here, known.numbers))
        await self._load_events(known, places.keys())

    async def _load_auth_events(self, room: LiveRoom, known: Knowledge, arrivals: Sequence[Arrival]) -> None:
        now = now_of(room)
        wanted: set[str] = set()
        for arrival in arrivals:
            at_hand = {now(key) for key in _auth_keys(arrival.event)}
            wanted.update(each for each in arrival.event.auth_event_ids if each in known.places and each not in at_hand)
        await self._load_events(known, wanted)

    # -- what is lacking ---------------------------------------------------------------------------

    async def _load_places(self, known: Knowledge, event_ids: set[str]) -> None:
        places, _ = await self.places.places(self.queries, event_ids)
        known.places.update(places)
        known.tip -= event_ids

    async def _load_states(self, room: LiveRoom, known: Knowledge, arrivals: Sequence[Arrival]) -> None:
        ids = {event_id for arrival in arrivals for event_id in arrival.event.prev_event_ids} | {*room.tip.extremities}
        places = [
            place
            for event_id in ids
            if (place := known.places.get(event_id)) is not None
            and not place.settled
            and place.room_nid == room.room_nid
            and has_state(place)
        ]
        known.after.update(await self.states.views_after(room, places, known.numbers))

    def _likely(self, room: LiveRoom, known: Knowledge, arrivals: Sequence[Arrival]) -> set[str]:
        """All in which the states at hand differ, what that is authorised by, and the state by which arrivals are checked."""
        now = now_of(room)
        overlays = [view.overlay for view in (*known.after.values(), *known.before.values())]
        keys = _keys_of(arrivals) | {("m.room.power_levels", ""), ("m.room.create", "")}
        differing = {event_id for overlay in overlays for key in overlay for event_id in (overlay[key], now(key))}
        found = {each for each in differing if each is not None} | {each for key in keys if (each := now(key))}
        # A long fork brings its senders, too: their memberships are the state it is checked by.
        senders = {("m.room.member", known.events[each].sender) for each in found if each in known.events}
        found |= {each for key in senders if (each := now(key)) is not None}
        found |= known.auth.chain_of(found)
        return found if len(found) <= MAX_EVENTS else set()

    async def _load_events(self, known: Knowledge, event_ids: Collection[str]) -> None:
        wanted = [each for each in event_ids if each not in known.events and askable(each)]
        if not wanted:
            return
        rows = await self.pdus.pdus(self.queries, wanted)
        parse = [(row["event_id"], row["version"], row["body"], row["envelope"]) for row in rows]
        known.events.update(await _parsed(parse))
        known.absent.update(each for each in wanted if each not in known.events)
        known.rejected.update(row["event_id"] for row in rows if row["flags"] & REJECTED)

    async def _load_entries(self, room: LiveRoom, known: Knowledge, event_ids: Collection[str]) -> None:
        wanted = [event_id for event_id in event_ids if askable(event_id)]
        for record in await self.places.entries(self.queries, room.room_nid, wanted):
            known.entries[record["event_id"]] = to_timeline_event(record, room.room_id)
        known.absent.update(each for each in event_ids if each not in known.entries)

    async def _load_numbers(self, room: LiveRoom, known: Knowledge, event_ids: Collection[str]) -> None:
        if room.committing is not None and room.pending:
            await asyncio.wait([room.committing])
        marks = await self.pdus.marks(self.queries, event_ids)
        known.numbers.update((event_id, mark.event_nid) for event_id, mark in marks.items())

    async def _settle(self, room: LiveRoom, known: Knowledge, large: LargeConflict) -> None:
        """In a thread: everybody else goes on meanwhile."""
        marker = marker_of(room)
        try:
            overlay = await asyncio.to_thread(large.conflict.settle, large.events.get, frozenset(known.rejected))
        except Exception:
            log.exception("could not resolve the state of %s", room.room_id)
            known.not_in_thread.add(large.fork)
            return
        if marker_of(room) == marker:
            known.resolved[large.fork] = overlay


def _are_fork(room: LiveRoom, arrivals: Sequence[Arrival]) -> bool:
    tips = set(room.tip.extremities)
    return sum(1 for arrival in arrivals if not tips.isdisjoint(arrival.event.prev_event_ids)) > 1


def _named(room: LiveRoom, arrivals: Sequence[Arrival]) -> Iterable[str]:
    """Whatever is to be looked up about arrivals; most of what they cite is the room's tip and state, known without."""
    now = now_of(room)
    # The tip is no tip any more after the first that is built on it.
    if len(room.tip.extremities) > 1 or _are_fork(room, arrivals):
        yield from room.tip.extremities
    for arrival in arrivals:
        event = arrival.event
        yield event.event_id
        yield from (each for each in event.prev_event_ids if (each,) != room.tip.extremities)
        at_hand = {now(key) for key in _auth_keys(event)}
        yield from (each for each in event.auth_event_ids if each not in at_hand)
        if event.redacts is not None:
            yield event.redacts


def _auth_keys(event: Event) -> Sequence[tuple[str, str]]:
    return auth_types_for_event(event.type, event.sender, event.state_key, event.content, event.room_version)


def _keys_of(arrivals: Sequence[Arrival]) -> set[tuple[str, str]]:
    return {key for arrival in arrivals for key in _auth_keys(arrival.event)}


async def _parsed(rows: Sequence[tuple[str, str, bytes, bytes]]) -> dict[str, Event]:
    if len(rows) <= PARSED_AT_ONCE:
        return _parse(rows)
    return await asyncio.to_thread(_parse, rows)


def _parse(rows: Sequence[tuple[str, str, bytes, bytes]]) -> dict[str, Event]:
    return {row[0]: event_of(*row) for row in rows}

"""Events of other servers into a room that we are in: decided, written, told."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from homeserver.protocol.errors import Unavailable
from homeserver.protocol.events import Event, StateKey
from homeserver.services.foreign_events.arriving_redactions import ArrivingRedactions
from homeserver.services.foreign_events.auth_graphs import AuthGraphs
from homeserver.services.foreign_events.decider import Decider
from homeserver.services.foreign_events.knowledge import Knowledge, Lacking
from homeserver.services.foreign_events.loader import Loader
from homeserver.services.foreign_events.outcomes import Arrival, Outcome, Verdict
from homeserver.services.foreign_events.room_locks import RoomLocks
from homeserver.services.foreign_events.room_states import marker_of
from homeserver.services.rooms.append import Also, Append, NewEvent, TipMoved
from homeserver.services.rooms.event_writer import EventWriter
from homeserver.services.rooms.live_room import LiveRoom, RoomTip
from homeserver.services.rooms.room_cache import RoomCache
from homeserver.storage.event_states import EventStates

if TYPE_CHECKING:
    from homeserver.storage.database import Queries

MAX_TRIES = 20
"""Of deciding again because something was lacking, or because the room has moved meanwhile; more where each of many
arrivals joins long forks.
"""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ReceiveEvents:
    """One verb; one call at a time in each room. Own sends go on meanwhile."""

    cache: RoomCache
    writer: EventWriter
    loader: Loader
    graphs: AuthGraphs
    rows: EventStates
    locks: RoomLocks

    async def __call__(self, room_id: str, arrivals: Sequence[Arrival]) -> list[Verdict]:
        """Steps 4 to 6 of the receipt for each, in order; one commit for all. A verdict for each, in the order given.

        An arrival that is not storable, cites what is not here, or belongs to another room is REJECTED and not stored.
        Raises NotFound where the room is not known here, Unavailable.
        """
        async with self.locks.of(room_id):
            known = Knowledge(self.graphs.of(room_id))
            for _ in range(MAX_TRIES + 2 * len(arrivals)):
                room = await self.cache.get(room_id)
                try:
                    verdicts = await self._decide(room, known, arrivals)
                except TipMoved:
                    continue
                if verdicts is not None:
                    _tell_rejected(room_id, verdicts)
                    return verdicts
        raise Unavailable("The room is too busy, try again")

    async def _decide(self, room: LiveRoom, known: Knowledge, arrivals: Sequence[Arrival]) -> list[Verdict] | None:
        """None: something was lacking, and is not any more. Raises TipMoved."""
        known.follow(marker_of(room))
        await self.loader.prepare(room, known, arrivals)
        if marker_of(room) != known.marker or room.retired:
            return None
        decider = Decider(room, known)
        try:
            decider(arrivals)
            append = prepare_append(room, decider, self.rows)
        except Lacking as lacking:
            await self.loader.load(room, known, arrivals, lacking)
            return None
        if append is not None:
            self.writer.submit(append)
            await asyncio.shield(append.done)
        return decider.verdicts


def _tell_rejected(room_id: str, verdicts: Sequence[Verdict]) -> None:
    """One line for a call, whatever it brought."""
    rejected = [verdict for verdict in verdicts if verdict.outcome is Outcome.REJECTED]
    if rejected:
        log.info("%s: %d of %d events were rejected, the first of them %s: %s",
                 room_id, len(rejected), len(verdicts), rejected[0].event_id, rejected[0].reason)  # fmt: skip


def prepare_append(room: LiveRoom, decider: Decider, rows: EventStates) -> Append | None:
    """Move the room's tip to where the decided events put it: from here on nothing can refuse. None: nothing is new.

    Synchronous with the deciding, so that nobody builds in between. Raises Lacking before anything is changed.
    """
    course, parts = decider.course, decider.parts
    if not parts.events:
        return None
    resolved = parts.resolved()
    parts.check_complete()
    room.pending_state.update(resolved)
    for key, event_id in course.current.overlay.items():
        if event_id in parts.events:
            room.pending_state[key] = parts.events[event_id].event
    room.pending += len(parts.events)
    tip = RoomTip(tuple(course.tips), course.depth, room.tip.version + 1)
    return _append(room, tip, decider.redactions, rows, list(parts.events.values()), resolved)


def prepare_rewriting(room: LiveRoom, redactions: ArrivingRedactions, rows: EventStates) -> Append | None:
    """The same without a new event: stored ones in new forms. None: nothing is to be written."""
    if not (redactions.rewritten or redactions.waiting or redactions.done):
        return None
    tip = RoomTip(room.tip.extremities, room.tip.depth, room.tip.version + 1)
    return _append(room, tip, redactions, rows, [], {})


def _append(
    room: LiveRoom, tip: RoomTip, redactions: ArrivingRedactions, rows: EventStates, events: list[NewEvent],
    resolved: Mapping[StateKey, Event | None],
) -> Append:  # fmt: skip
    built_on, room.tip = room.tip.version, tip
    for redacted in redactions.redacted:
        room.hold_parsed(redacted)
    room.committing = asyncio.get_running_loop().create_future()
    return Append(
        room=room,
        built_on=built_on,
        new_version=tip.version,
        extremities=tip.extremities,
        depth=tip.depth,
        events=events,
        done=room.committing,
        rewritten=list(redactions.rewritten.values()),
        also=_also(room, redactions, rows),
        resolved=resolved,
    )


def _also(room: LiveRoom, redactions: ArrivingRedactions, rows: EventStates) -> Also | None:
    """Redactions that wait for their events, and those that do so no longer."""
    waiting, done = redactions.waiting, redactions.done
    if not waiting and not done:
        return None
    return partial(_write_redactions, room_nid=room.room_nid, rows=rows, waiting=waiting, done=done)


async def _write_redactions(
    q: Queries, *, room_nid: int, rows: EventStates, waiting: Sequence[tuple[str, str]], done: Sequence[str]
) -> None:
    if waiting:
        await rows.remember_redactions(q, room_nid, waiting)
    if done:
        await rows.redactions_applied(q, done)

"""Events that passed the checks, on their way into a room: what they are built on is fetched first, within bounds."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, Protocol

from homeserver.federation.incoming.gaps import Bridged, Gaps
from homeserver.federation.incoming.graph import Known, Receivable, missing_auth, missing_prevs, named_by, receivable
from homeserver.federation.incoming.patience import Patience
from homeserver.federation.incoming.supplies import Supplies
from homeserver.protocol.errors import MatrixError, Unavailable
from homeserver.protocol.events import Event
from homeserver.services.foreign_events.outcomes import Arrival, Outcome, ToldState, Verdict
from homeserver.services.foreign_events.room_locks import RoomLocks
from homeserver.services.foreign_events.standings import StandingsOf
from homeserver.services.rooms.live_room import LiveRoom
from homeserver.services.rooms.room_cache import RoomCache

MAX_BRANCHES: Final = 10
"""Missing events whose state is asked for, for all events that come together."""
FETCHING_SECONDS: Final = 60
"""For all that events which come together need; waiting for others who fetch for the same room is part of it."""
IMPATIENT: Final = "What it is built on is missing, and was in vain asked of your server before: try again later"

log = logging.getLogger(__name__)


class ReceiveEvents(Protocol):
    """`services/foreign_events/receive_events.py`."""

    async def __call__(self, room_id: str, arrivals: Sequence[Arrival]) -> list[Verdict]: ...


@dataclass(frozen=True, slots=True)
class Incoming:
    """Events whose past is here are received at once. One fetching at a time for each room: after an outage, everybody's
    events need the same.
    """

    cache: RoomCache
    standings: StandingsOf
    gaps: Gaps
    supplies: Supplies
    accept: ReceiveEvents
    patience: Patience
    fetching_seconds: float = FETCHING_SECONDS
    _fetching: RoomLocks = field(default_factory=RoomLocks)

    async def receive(self, origin: str, room_id: str, events: Sequence[Event]) -> list[Verdict]:
        """A verdict for each, in the order given. UNDECIDED: what it is built on could not be had.

        `origin` is who is asked for what is missing. Raises NotFound where this server does not know the room.
        """
        room = await self.cache.get(room_id)
        came = {event.event_id: event for event in events}
        known = Known(await self.standings(named_by(events)))
        new = {event_id: event for event_id, event in came.items() if not known.is_placed(event_id)}
        verdicts = {each: Verdict(each, Outcome.KNOWN) for each in came if each not in new}
        if new:
            verdicts |= await self._receive_new(origin, room, new, known)
        return [verdicts[event.event_id] for event in events]

    async def _receive_new(
        self, origin: str, room: LiveRoom, new: dict[str, Event], known: Known
    ) -> dict[str, Verdict]:
        if not missing_prevs(new, known) and not missing_auth(new, known):
            return await self._accept(room, receivable(new, known, ()), {})
        # What needs nothing does not wait for what does.
        first = receivable(new, known, ())
        verdicts = await self._accept(room, Receivable(first.ready, {}), {})
        rest = {event_id: new[event_id] for event_id in first.stuck}
        if not self.patience.is_left(origin, room.room_id):
            return verdicts | {each: Verdict(each, Outcome.UNDECIDED, IMPATIENT) for each in rest}
        return verdicts | await self._fetch_and_accept(origin, room, rest)

    async def _fetch_and_accept(self, origin: str, room: LiveRoom, rest: dict[str, Event]) -> dict[str, Verdict]:
        try:
            # Without the limit afterwards: what is being written is not given up.
            async with asyncio.timeout(self.fetching_seconds) as limit, self._fetching.of(room.room_id):
                arriving = await self._fetch(origin, room, rest)
                limit.reschedule(None)
                found = await self._accept(room, *arriving)
        except TimeoutError:
            found = self._refused(origin, room, rest, "What it is built on could not be had in time")
        except Unavailable:
            raise  # our own trouble: the sender keeps them
        except MatrixError as error:
            found = self._refused(origin, room, rest, f"What it is built on could not be had: {error.message}")
        self._judge(origin, room, [found[each] for each in rest if each in found])
        # Not among them: somebody else brought it meanwhile.
        return {each: found.get(each, Verdict(each, Outcome.KNOWN)) for each in rest}

    async def _fetch(
        self, origin: str, room: LiveRoom, rest: Mapping[str, Event]
    ) -> tuple[Receivable, Mapping[str, ToldState]]:
        bridged = await self._bridge(origin, room, rest)
        # Who sends an event has what it is built on, and no reason to say that there is nothing: else anybody could make an
        # event the only one that a room goes on from, and then tell its state.
        told = await self._told(origin, room, [each for each in bridged.missing if each not in bridged.withheld])
        bridged = await self._authorised(origin, room, bridged)
        return receivable(bridged.events, bridged.known, told), told

    def _refused(self, origin: str, room: LiveRoom, rest: Mapping[str, Event], why: str) -> dict[str, Verdict]:
        log.info("%s sent %d events of %s: %s", origin, len(rest), room.room_id, why)
        return {each: Verdict(each, Outcome.UNDECIDED, why) for each in rest}

    def _judge(self, origin: str, room: LiveRoom, verdicts: Sequence[Verdict]) -> None:
        """Nothing at all came of it: whoever does that again and again is not followed any more."""
        if verdicts and all(each.outcome in (Outcome.REJECTED, Outcome.UNDECIDED) for each in verdicts):
            self.patience.in_vain(origin, room.room_id)
        else:
            self.patience.of_use(origin, room.room_id)

    async def _bridge(self, origin: str, room: LiveRoom, rest: Mapping[str, Event]) -> Bridged:
        """Somebody else may have fetched it meanwhile."""
        known = Known(await self.standings(named_by(rest.values())))
        new = {event_id: event for event_id, event in rest.items() if not known.is_placed(event_id)}
        if not missing_prevs(new, known):
            return Bridged(new, known, [])
        return await self.gaps.bridge(origin, room, new, known)

    async def _told(self, origin: str, room: LiveRoom, missing: Sequence[str]) -> dict[str, ToldState]:
        """The states after what is still missing. One that cannot be had harms those only that are built on it."""
        told: dict[str, ToldState] = {}
        for event_id in missing[:MAX_BRANCHES]:
            try:
                told[event_id] = await self.supplies.state_after(origin, room, event_id)
            except MatrixError as error:
                log.info("%s did not tell the state of %s after %s: %s", origin, room.room_id, event_id, error)
        return told

    async def _authorised(self, origin: str, room: LiveRoom, bridged: Bridged) -> Bridged:
        """With the auth events that could be had."""
        missing = missing_auth(bridged.events, bridged.known)
        if not missing:
            return bridged
        wanted = set(missing)
        lacking = [each for each in bridged.events.values() if not wanted.isdisjoint(each.auth_event_ids)]
        await self.supplies.auth_events(origin, room, lacking)
        known = Known({**bridged.known.standings, **await self.standings(missing)})
        return replace(bridged, known=known)

    async def _accept(
        self, room: LiveRoom, receivable: Receivable, told: Mapping[str, ToldState]
    ) -> dict[str, Verdict]:
        arrivals = [
            Arrival(event, tuple(told[prev] for prev in event.prev_event_ids if prev in told))
            for event in receivable.ready
        ]
        verdicts = await self.accept(room.room_id, arrivals) if arrivals else []
        stuck = {each: Verdict(each, Outcome.UNDECIDED, why) for each, why in receivable.stuck.items()}
        return {**{each.event_id: each for each in verdicts}, **stuck}

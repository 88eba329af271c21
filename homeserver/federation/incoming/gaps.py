"""Events between what is here and what came, asked of who sent it: `POST /get_missing_events`, as often as that helps."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from homeserver.federation.incoming.graph import Known, ends, missing_prevs, named_by
from homeserver.federation.remote_events import MAX_NAMED, RemoteEvents
from homeserver.protocol.errors import MatrixError
from homeserver.protocol.events import Event
from homeserver.services.foreign_events.standings import StandingsOf
from homeserver.services.rooms.live_room import LiveRoom

MAX_CALLS: Final = 25
"""Servers that give 20 events at most (Synapse) fill the largest gap that is bridged."""
MAX_EVENTS: Final = 500
"""Longer gaps stay: readers fill them when they get there."""

FloorOf = Callable[[int], Awaitable[int]]
"""By room_nid: the depth above which all is here or to be had. What is deeper down is from before we came."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Bridged:
    """`events`: those that came and those between, by id. `known`: what is here of all that they name.

    `withheld`: of what is missing, what events that came are built on themselves, and of which their server gave nothing.
    """

    events: dict[str, Event]
    known: Known
    missing: list[str]
    withheld: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Gaps:
    """One verb."""

    remote: RemoteEvents
    standings: StandingsOf
    floor: FloorOf

    async def bridge(self, origin: str, room: LiveRoom, came: Mapping[str, Event], known: Known) -> Bridged:
        """Ask until nothing is missing, nothing new comes, or the bounds are reached.

        Never for what was before we came: events that are built on it would bring all of it, as if it were new.
        """
        events, standings = dict(came), dict(known.standings)
        floor = await self.floor(room.room_nid)
        withheld: frozenset[str] = frozenset()
        for _ in range(MAX_CALLS):
            missing = missing_prevs(events, Known(standings))
            if not missing or len(events) - len(came) >= MAX_EVENTS:
                break
            latest = [each for each in ends(events, missing) if events[each].depth > floor][:MAX_NAMED]
            given = await self._ask(origin, room, events, latest, floor) if latest else None
            if given == []:
                withheld = frozenset(prev for each in latest if each in came for prev in came[each].prev_event_ids)
            found = {each.event_id: each for each in given or () if each.event_id not in events and each.depth >= floor}
            if not found:
                break
            events |= found
            standings |= await self.standings(named_by(found.values()) - standings.keys())
            # What turns out to be here already is nothing to receive.
            for event_id in found:
                if Known(standings).is_placed(event_id):
                    del events[event_id]
        missing = missing_prevs(events, Known(standings))
        return Bridged(events, Known(standings), missing, withheld.intersection(missing))

    async def _ask(
        self, origin: str, room: LiveRoom, events: Collection[str], latest: Sequence[str], floor: int
    ) -> list[Event] | None:
        """None where the other server does not answer that: there is the state still, which is another question."""
        # Where several people talk, what came is woven into what is missing: only that is worth a place in the answer.
        in_hand = [each for each in events if each not in latest]
        try:
            return await self.remote.missing_events(
                origin, room.room_id, room.version,
                earliest=[*room.tip.extremities, *in_hand], latest=latest, min_depth=floor,
            )  # fmt: skip
        except MatrixError as error:
            log.info("%s did not give what is missing in %s: %s", origin, room.room_id, error)
            return None

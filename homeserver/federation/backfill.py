"""Gaps in timelines are filled when somebody reads up to them: history comes from other servers, by /backfill."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

from homeserver.federation.backfill_batch import connected, open_ends, still_open
from homeserver.federation.bounded import Bounded
from homeserver.federation.incoming.graph import PLACED
from homeserver.federation.remote_events import RemoteEvents
from homeserver.federation.room_servers import RoomServers
from homeserver.federation.single_flight import SingleFlight
from homeserver.protocol.errors import MatrixError, NotFound
from homeserver.protocol.events import Event, StateMap
from homeserver.services.clock import Clock
from homeserver.services.foreign_events.outcomes import ToldState, Verdict
from homeserver.services.foreign_events.standings import StandingsIn
from homeserver.services.rooms.live_room import LiveRoom
from homeserver.services.rooms.room_cache import RoomCache
from homeserver.storage.timeline_gaps import Gap

EVENTS_AT_ONCE: Final = 100
SECONDS_OF_A_SERVER: Final = 5
SECONDS: Final = 10
"""Of all servers together: somebody waits for a page."""
MAX_OPEN_ENDS: Final = 10
"""Of one answer: the state before each is a question of its own, and a room has rarely more branches than two."""
FAILED_FOR_MS: Final = 60_000
MAX_FAILURES: Final = 1_000

DepthsAt = Callable[[int, Sequence[int]], Awaitable[Mapping[int, int]]]
"""By room_nid: the depths of the events at these positions."""

log = logging.getLogger(__name__)


class Supplies(Protocol):
    """What events are built on and allowed by, fetched from one server and stored (federation/incoming)."""

    async def state_before(self, destination: str, room: LiveRoom, event_id: str) -> StateMap[str]:
        """As that server tells it; all its events are stored. Raises MatrixError."""
        ...

    async def auth_events(self, destination: str, room: LiveRoom, events: Sequence[Event]) -> None:
        """Those that the events cite and nobody here has are stored, as far as the server gives them."""
        ...


class FillGap(Protocol):
    """`services/foreign_events/fill_gap.py`."""

    async def __call__(
        self, room: LiveRoom, high: int, events: Sequence[Event], told: Sequence[ToldState]
    ) -> list[Verdict]: ...


@dataclass(frozen=True, slots=True)
class _Found:
    """What one server has of a gap."""

    events: list[Event]
    told: list[ToldState]


@dataclass(frozen=True, slots=True)
class Backfill:
    """`services/timeline` asks for it, and reads again where there was progress. One filling a room at a time: who asks
    meanwhile waits for the same.
    """

    remote: RemoteEvents
    servers: RoomServers
    supplies: Supplies
    standings: StandingsIn
    fill: FillGap
    cache: RoomCache
    clock: Clock
    depths: DepthsAt
    _flights: SingleFlight[bool] = field(default_factory=SingleFlight)
    _failed_until_ms: Bounded[tuple[str, int], int] = field(default_factory=lambda: Bounded(MAX_FAILURES))

    async def __call__(self, room: LiveRoom, high: int) -> bool:
        """Whether some of the gap whose top is `high` has been filled. Takes no longer than SECONDS and the writing."""
        if not room.joined_local or self._has_just_failed(room, high):
            return False
        return await self._flights.run(room.room_id, lambda: self._fill(room, high))

    async def stop(self) -> None:
        """Give up what is under way."""
        await self._flights.stop()

    def memory_usage(self) -> Mapping[str, int]:
        """Gaps being filled, and those that could not be."""
        return {"filling": len(self._flights), "failed": len(self._failed_until_ms)}

    def _has_just_failed(self, room: LiveRoom, high: int) -> bool:
        until_ms = self._failed_until_ms.get((room.room_id, high))
        return until_ms is not None and self.clock.now_ms() < until_ms

    async def _fill(self, room: LiveRoom, high: int) -> bool:
        gap = next((gap for gap in room.gaps if gap.high == high), None)
        started = asyncio.get_running_loop().time()
        # Of what was purged nothing is missing.
        for name in self.servers.likeliest(room) if gap is not None and gap.missing else ():
            assert gap is not None
            left = SECONDS - (asyncio.get_running_loop().time() - started)
            found = await self._ask(name, room, gap.missing, min(left, SECONDS_OF_A_SERVER))
            # Not under the time limit: what is being written is written to its end.
            if found is not None and await self._put(room, gap, found):
                return True
        self._failed_until_ms.put((room.room_id, high), self.clock.now_ms() + FAILED_FOR_MS)
        return False

    async def _put(self, room: LiveRoom, gap: Gap, found: _Found) -> bool:
        """Whether the gap, or one below, is another one afterwards, or none."""
        for below in await self._overlapping(room, gap, found.events):
            if not self._has_just_failed(room, below.high) and await self._fill(room, below.high):
                return True
        try:
            await self.fill(room, gap.high, found.events, found.told)
        except MatrixError as error:
            log.warning("History of %s could not be stored: %s", room.room_id, error.errcode)
            return False
        return gap not in (await self.cache.get(room.room_id)).gaps

    async def _overlapping(self, room: LiveRoom, gap: Gap, events: Sequence[Event]) -> list[Gap]:
        """Gaps below, lowest first, whose top may be built on these events too: they have to be there before it.

        After an outage each server's events leave a gap, all of the same time.
        """
        below = sorted((each for each in room.gaps if each.high < gap.high), key=lambda each: each.high)
        if not below:
            return []
        oldest = min(event.depth for event in events)
        depths = await self.depths(room.room_nid, [each.high for each in below])
        return [each for each in below if depths.get(each.high, 0) > oldest]

    async def _ask(self, name: str, room: LiveRoom, missing: Sequence[str], seconds: float) -> _Found | None:
        try:
            async with asyncio.timeout(seconds):
                return await self._history(name, room, missing)
        except TimeoutError:
            log.info("%s took too long for history of %s", name, room.room_id)
        except MatrixError as error:
            log.info("%s gave no history of %s: %s", name, room.room_id, error.errcode)
        return None

    async def _history(self, name: str, room: LiveRoom, missing: Sequence[str]) -> _Found:
        """Raises NotFound where the server has nothing of use, and what asking it raises."""
        answer = await self.remote.backfill(name, room.room_id, room.version, before=missing, limit=EVENTS_AT_ONCE)
        events = connected(answer, missing)
        if not events:
            raise NotFound("None of the missing events")
        ends = await self._unknown_ends(room, events)
        if len(ends) > MAX_OPEN_ENDS:
            raise NotFound("Too many branches")
        # The states first: most of what old events cite is part of them.
        told = await self._told(name, room, ends)
        await self.supplies.auth_events(name, room, events)
        return _Found(events, told)

    async def _unknown_ends(self, room: LiveRoom, events: Sequence[Event]) -> dict[str, tuple[str, ...]]:
        ends = open_ends(events)
        prevs = {prev for prevs in ends.values() for prev in prevs}
        standings = await self.standings(room.room_nid, prevs) if prevs else {}
        return still_open(ends, {prev for prev, standing in standings.items() if standing in PLACED})

    async def _told(self, name: str, room: LiveRoom, ends: Mapping[str, Sequence[str]]) -> list[ToldState]:
        """The state after what is not here is, for what is built on it, the state before that."""
        told: dict[str, ToldState] = {}
        for event_id, prevs in ends.items():
            if any(prev not in told for prev in prevs):
                state = await self.supplies.state_before(name, room, event_id)
                told |= {prev: ToldState(prev, state) for prev in prevs if prev not in told}
        return list(told.values())

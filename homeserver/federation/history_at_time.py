"""/timestamp_to_event of clients beside a gap: other servers are asked, and the gap is filled as far as their event.

Source: server-server API, GET /timestamp_to_event.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol

from homeserver.federation.client import Limits, request_uri
from homeserver.federation.errors import BadAnswer
from homeserver.federation.room_servers import RoomServers
from homeserver.protocol.errors import MatrixError
from homeserver.protocol.identifiers import is_event_id
from homeserver.services.foreign_events.outcomes import Standing
from homeserver.services.foreign_events.standings import StandingsOf
from homeserver.services.rooms.live_room import LiveRoom
from homeserver.services.timeline.event_at_time import FoundEvent
from homeserver.services.timeline.gaps import FillHistory
from homeserver.storage.timeline_gaps import Gap

PATH: Final = "/_matrix/federation/v1/timestamp_to_event"
LIMITS: Final = Limits(timeout_ms=3_000, max_bytes=16 * 1024)
MAX_SERVERS: Final = 2
MAX_FILLINGS: Final = 5
"""Some 500 events; an event farther inside a gap is found when somebody has read up to it."""
SECONDS: Final = 20

log = logging.getLogger(__name__)


class Client(Protocol):
    """`FederationClient`."""

    async def get(self, destination: str, uri: str, *, limits: Limits = ...) -> dict[str, Any]: ...


@dataclass(frozen=True, slots=True)
class HistoryAtTime:
    """`services/timeline/event_at_time.py: HistoryElsewhere`. A room without gaps costs nothing."""

    client: Client
    servers: RoomServers
    fill: FillHistory
    standings: StandingsOf

    async def bring(self, room: LiveRoom, ts: int, found: FoundEvent | None, *, forwards: bool) -> bool:
        """Whether history has come here in which something closer to `ts` than `found` may be."""
        if not room.joined_local or gap_beside(room.gaps, found, forwards=forwards) is None:
            return False
        try:
            async with asyncio.timeout(SECONDS):
                return await self._bring(room, ts, found, forwards=forwards)
        except TimeoutError:
            return False

    async def _bring(self, room: LiveRoom, ts: int, found: FoundEvent | None, *, forwards: bool) -> bool:
        wanted = await self._ask_around(room, ts, found, forwards=forwards)
        if wanted is None:
            return False
        for fillings in range(MAX_FILLINGS):
            gap = gap_beside(room.gaps, found, forwards=forwards)
            if gap is None or not await self.fill(room, gap.high):
                return fillings > 0
            if (await self.standings([wanted])).get(wanted) is Standing.IN_TIMELINE:
                return True
        return True

    async def _ask_around(
        self, room: LiveRoom, ts: int, found: FoundEvent | None, *, forwards: bool
    ) -> str | None:  # fmt: skip
        """The id of an event that is closer than what was found here."""
        for name in self.servers.likeliest(room, MAX_SERVERS):
            try:
                event_id, time_ms = await self._ask(name, room.room_id, ts, forwards=forwards)
            except MatrixError as error:
                log.info("%s named no event of %s at a time: %s", name, room.room_id, error.errcode)
                continue
            if is_closer(time_ms, ts, found, forwards=forwards):
                return event_id
        return None

    async def _ask(self, name: str, room_id: str, ts: int, *, forwards: bool) -> tuple[str, int]:
        uri = request_uri(PATH, room_id, query={"ts": str(ts), "dir": "f" if forwards else "b"})
        return _event_of(await self.client.get(name, uri, limits=LIMITS))


def gap_beside(gaps: Iterable[Gap], found: FoundEvent | None, *, forwards: bool) -> Gap | None:
    """The gap in which something closer would be: the next one before what was found looking forwards, the next one
    after it looking backwards; where nothing was found before a moment, the oldest.
    """
    ordered = sorted(gaps, key=lambda gap: gap.high)
    if forwards:
        before = [gap for gap in ordered if found is not None and gap.high <= found.position]
        return before[-1] if before else None
    after = [gap for gap in ordered if found is None or gap.low >= found.position]
    return after[0] if after else None


def is_closer(time_ms: int, ts: int, found: FoundEvent | None, *, forwards: bool) -> bool:
    """Whether an event of that time lies in the right direction, and nearer than what was found."""
    if forwards:
        return ts <= time_ms and (found is None or time_ms < found.time_ms)
    return time_ms <= ts and (found is None or time_ms > found.time_ms)


def _event_of(answer: Mapping[str, Any]) -> tuple[str, int]:
    event_id, time_ms = answer.get("event_id"), answer.get("origin_server_ts")
    if not is_event_id(event_id) or not isinstance(time_ms, int):
        raise BadAnswer("The other server's answer names no event and time")
    return str(event_id), time_ms

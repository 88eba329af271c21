"""One cluster, looked at every two seconds: who is muted, what reports did not arrive, and whether it is there at all."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass, field
from typing import Final

from livekit.protocol import models

from voice.sfu.backend import SfuUnavailable
from voice.sfu.livekit.cluster import Cluster
from voice.sfu.livekit.people import People, Sids
from voice.sfu.livekit.placements import Placements

log = logging.getLogger(__name__)

LOOK_SECONDS: Final = 2.0
LOST_AFTER_LOOKS: Final = 3
"""So many in a row that failed: calls may well go on while only we do not reach the cluster."""
QUESTIONS_AT_ONCE: Final = 16

Infos = Sequence[models.ParticipantInfo]
Arrived = Callable[[str, Sids, Infos], None]
"""Room, who was there when the look began, who is there."""


@dataclass(slots=True)
class Watch:
    """Rooms that were in use before we started, and those whose webhooks never came, are found too."""

    cluster: Cluster
    placements: Placements
    people: People
    looked: Arrived
    interval_s: float = LOOK_SECONDS
    _failures: int = 0
    _lost: set[str] = field(default_factory=set)
    """Rooms to be made again: the tokens of their people let nobody make one."""

    async def run(self) -> None:
        while True:
            try:
                await self.look()
                self._failures = 0
            except SfuUnavailable as error:
                self._failed(error)
            except Exception:
                log.exception("looking at LiveKit %s failed", self.cluster.address.region)
            await asyncio.sleep(self.interval_s)

    async def look(self) -> None:
        """Raises SfuUnavailable."""
        before = self.placements.at(self.cluster)
        peopled = set(self.people.rooms())
        listed = await self.cluster.rooms()
        await self._restore([room for room in before if room not in listed], peopled)
        used = [room for room, count in listed.items() if count or room in peopled]
        await self._each(used, self._look_at)

    async def _restore(self, missing: Collection[str], peopled: Collection[str]) -> None:
        """Rooms end when they are empty; those that end with people in them were lost in a restart of the cluster."""
        again = [room for room in missing if room in peopled or room in self._lost]
        self._lost.update(again)
        self.people.lost(room for room in again if room in peopled)
        await self._each(again, self.cluster.make_room)
        self._lost.clear()
        self.placements.forget(set(missing) - set(again))

    async def _look_at(self, room: str) -> None:
        if not self.placements.found(room, self.cluster):
            # Its channel has another region since: whoever is still here hears nobody, and joins again elsewhere.
            await self.cluster.end_room(room)
            return
        before = self.people.sids(room)
        self.looked(room, before, await self.cluster.participants(room))

    async def _each(self, rooms: Sequence[str], do: Callable[[str], Awaitable[None]]) -> None:
        for first in range(0, len(rooms), QUESTIONS_AT_ONCE):
            await asyncio.gather(*(do(room) for room in rooms[first : first + QUESTIONS_AT_ONCE]))

    def _failed(self, error: SfuUnavailable) -> None:
        self._failures += 1
        if self._failures == LOST_AFTER_LOOKS:
            log.error("%s", error)
            lost = set(self.placements.at(self.cluster)) & set(self.people.rooms())
            self._lost |= lost
            self.people.lost(lost)

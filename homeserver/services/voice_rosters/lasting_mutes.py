"""Mutes by moderators last: whoever leaves the call and comes again is muted still, also after a restart.

The SFU knows them for as long as somebody is connected; here they are told to it each time he comes.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from homeserver.protocol.errors import LimitExceeded
from homeserver.services.voice_rosters.silences import MUTED_BY, Silences
from homeserver.storage.voice_mutes import VoiceMute, VoiceMuteRows
from voice.sfu.backend import SfuBackend, SfuUnavailable

if TYPE_CHECKING:
    from homeserver.services.clock import Clock
    from homeserver.services.voice_rosters.rosters import Rosters
    from homeserver.services.voice_rosters.seat import Seat
    from homeserver.storage.database import Queries

MAX_SILENCED: Final = 50_000
"""About 200 bytes each."""
FULL_RETRY_MS: Final = 60_000
RETRY_MS: Final = 1_000
MAX_ATTEMPTS: Final = 10

log = logging.getLogger(__name__)


@dataclass(slots=True)
class LastingMutes:
    """Two verbs for moderators, and a listener of the rosters."""

    queries: Queries
    rows: VoiceMuteRows
    silences: Silences
    rosters: Rosters
    backend: SfuBackend
    clock: Clock
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)

    async def load(self) -> None:
        """Before the first request."""
        for mute in await self.rows.all(self.queries):
            self.silences.put(mute.room_id, mute.user_id, mute.what)

    async def put(self, room_id: str, user_id: str, what: str, by: str) -> None:
        """Remember it. Raises LimitExceeded."""
        if len(self.silences) >= MAX_SILENCED and not self.silences.of(room_id, user_id):
            raise LimitExceeded("Too many people are muted", retry_after_ms=FULL_RETRY_MS)
        await self.rows.put(self.queries, VoiceMute(room_id, user_id, what, by, self.clock.now_ms()))
        self.silences.put(room_id, user_id, what)
        self.rosters.silenced(room_id, user_id)

    async def lift(self, room_id: str, user_id: str, what: str) -> None:
        """Forget it, and tell the SFU so; the microphone stays closed until its owner opens it. Raises SfuUnavailable."""
        await self.rows.lift(self.queries, room_id, user_id, what)
        self.silences.lift(room_id, user_id, what)
        self.rosters.silenced(room_id, user_id)
        for seat in self.rosters.seats_of(room_id, user_id):
            for source in MUTED_BY[what]:
                await self.backend.mute(*seat.key, source, muted=False)

    def seated(self, seat: Seat) -> None:
        """Somebody came. Subscribed to the rosters."""
        if seat.silenced:
            task = asyncio.create_task(self._silence(seat), name="silence-who-was-muted")
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def stop(self) -> None:
        """The next process has them from the table."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _silence(self, seat: Seat) -> None:
        for _ in range(MAX_ATTEMPTS):
            held = self.rosters.seat(seat.key)
            if held is None or held.participant.sid != seat.participant.sid:
                return  # he is gone, or came again since
            try:
                for what in held.silenced:
                    for source in MUTED_BY[what]:
                        await self.backend.mute(*seat.key, source)
                return
            except SfuUnavailable:
                await self.clock.sleep(ms=RETRY_MS)
        log.warning("%s is muted in %s and the SFU could not be told so", seat.member.user_id, seat.member.room_id)

    def memory_usage(self) -> Mapping[str, int]:
        """Counts for the memory report."""
        return {"silenced": len(self.silences)}

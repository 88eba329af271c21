"""Who may not stay, though LiveKit let him in: with a token from before his removal, or one too many."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from livekit.protocol import models

from voice.sfu.livekit.people import People
from voice.sfu.livekit.placements import Placements
from voice.sfu.livekit.void_tokens import VoidTokens

log = logging.getLogger(__name__)

SendAway = Callable[[str, str], Awaitable[object]]
"""Room, identity."""


@dataclass(slots=True)
class Door:
    """Rosters and listeners never hear of those who are turned away here."""

    placements: Placements
    people: People
    void: VoidTokens
    send_away: SendAway
    _tasks: set[asyncio.Task[object]] = field(default_factory=set)

    def lets_in(self, room: str, info: models.ParticipantInfo, now_ms: int) -> bool:
        """False: he is being sent away."""
        if self.void.is_void(room, info.identity, info.attributes, now_ms) or self._is_full_for(room, info.identity):
            self._turn_away(room, info.identity)
            return False
        return True

    def _is_full_for(self, room: str, identity: str) -> bool:
        placed = self.placements.find(room)
        if placed is None or placed.options is None or self.people.has(room, identity):
            return False
        return self.people.count(room) >= placed.options.max_participants

    def _turn_away(self, room: str, identity: str) -> None:
        task = asyncio.ensure_future(self.send_away(room, identity))
        self._tasks.add(task)
        task.add_done_callback(self._was_sent_away)

    def _was_sent_away(self, task: asyncio.Task[object]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            # The next look at the room tries again.
            log.warning("somebody who may not stay in a call could not be sent away: %s", task.exception())

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

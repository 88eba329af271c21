"""Who may not stay, though LiveKit let him in: with a token from before his removal, or one too many."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any

from livekit.protocol import models

from voice.sfu.livekit.errands import Errands
from voice.sfu.livekit.people import People
from voice.sfu.livekit.placements import Placements
from voice.sfu.livekit.void_tokens import VoidTokens

SendAway = Callable[[str, str], Coroutine[Any, Any, object]]
"""Room, identity."""


@dataclass(slots=True)
class Door:
    """Rosters and listeners never hear of those who are turned away here."""

    placements: Placements
    people: People
    void: VoidTokens
    send_away: SendAway
    errands: Errands

    def lets_in(self, room: str, info: models.ParticipantInfo, now_ms: int) -> bool:
        """False: he is being sent away."""
        if self.void.is_void(room, info.identity, info.attributes, now_ms) or self._is_full_for(room, info.identity):
            self.errands.run(self.send_away(room, info.identity))
            return False
        return True

    def _is_full_for(self, room: str, identity: str) -> bool:
        placed = self.placements.find(room)
        if placed is None or placed.options is None or self.people.has(room, identity):
            return False
        return self.people.count(room) >= placed.options.max_participants

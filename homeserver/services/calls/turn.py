"""Credentials for a TURN server, by the server's clock."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from voice.turn import TurnAccess, TurnCredentials

if TYPE_CHECKING:
    from homeserver.services.clock import Clock


@dataclass(frozen=True, slots=True)
class TurnServer:
    """coturn with `use-auth-secret` (voice/turn.py)."""

    access: TurnAccess
    clock: Clock

    def credentials(self, name: str) -> TurnCredentials:
        """For that user or participant; good for the lifetime of the settings from now."""
        return self.access.credentials(name, self.clock.now_ms() / 1000)

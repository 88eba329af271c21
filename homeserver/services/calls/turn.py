"""Credentials for a TURN server, by the server's clock."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from voice.turn import TurnAccess, TurnCredentials

if TYPE_CHECKING:
    from homeserver.services.clock import Clock


@dataclass(frozen=True, slots=True)
class TurnServer:
    """coturn with `use-auth-secret` (voice/turn.py)."""

    uris: Sequence[str]
    shared_secret: str
    lifetime_ms: int
    clock: Clock

    def credentials(self, name: str) -> TurnCredentials:
        """For that user or participant; good for `lifetime_ms` from now."""
        access = TurnAccess(tuple(self.uris), self.shared_secret, self.lifetime_ms // 1000)
        return access.credentials(name, self.clock.now_ms() / 1000)

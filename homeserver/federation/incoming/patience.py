"""Servers whose events made us ask around in vain: after a few of those, we do not follow at once again."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from homeserver.federation.bounded import Bounded
from homeserver.services.clock import Clock

FREE: Final = 3
"""Attempts in vain before there is a pause: a server in trouble, or one that has just come back."""
FIRST_PAUSE_MS: Final = 30_000
MAX_PAUSE_MS: Final = 10 * 60_000
MAX_REMEMBERED: Final = 10_000


@dataclass(frozen=True, slots=True)
class _Vain:
    attempts: int
    until_ms: int


def _remembered() -> Bounded[tuple[str, str], _Vain]:
    return Bounded(MAX_REMEMBERED)


@dataclass(frozen=True, slots=True)
class Patience:
    """By server and room: what somebody does in one room harms nobody's other rooms."""

    clock: Clock
    _vain: Bounded[tuple[str, str], _Vain] = field(default_factory=_remembered)

    def is_left(self, origin: str, room_id: str) -> bool:
        """Whether we ask around for an event of that server."""
        vain = self._vain.get((origin, room_id))
        return vain is None or vain.until_ms <= self.clock.now_ms()

    def in_vain(self, origin: str, room_id: str) -> None:
        """Something could not be had."""
        before = self._vain.get((origin, room_id))
        attempts = 1 if before is None else before.attempts + 1
        beyond = attempts - FREE
        pause_ms = 0 if beyond < 0 else min(FIRST_PAUSE_MS * 2 ** min(beyond, 10), MAX_PAUSE_MS)
        self._vain.put((origin, room_id), _Vain(attempts, self.clock.now_ms() + pause_ms))

    def of_use(self, origin: str, room_id: str) -> None:
        """Everything was there."""
        self._vain.pop((origin, room_id))

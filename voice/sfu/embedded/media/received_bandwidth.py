"""A plain estimate for publishers who know REMB only: by loss, and not far beyond what comes now."""

from __future__ import annotations

from dataclasses import dataclass

FIRST_BPS = 1_500_000
LOWEST_BPS = 100_000
HIGHEST_BPS = 10_000_000
MUCH_LOSS = 0.10
LITTLE_LOSS = 0.02


@dataclass(slots=True)
class ReceivedBandwidth:
    bps: float = FIRST_BPS
    _bytes: int = 0
    _at_ns: int = 0

    def estimate(self, loss: float, received_bytes: int, now_ns: int) -> int:
        """Bits per second. `received_bytes` counts from the beginning; called about once a second."""
        seconds = (now_ns - self._at_ns) / 1e9 if self._at_ns else 0.0
        received = (received_bytes - self._bytes) * 8 / seconds if seconds > 0 else 0.0
        self._bytes = received_bytes
        self._at_ns = now_ns
        if loss > MUCH_LOSS:
            self.bps *= 1 - loss / 2
        elif loss < LITTLE_LOSS:
            self.bps = max(self.bps, min(self.bps * 1.08, 2 * received + 500_000))
        self.bps = max(LOWEST_BPS, min(HIGHEST_BPS, self.bps))
        return int(self.bps)

"""How loud somebody is: audio levels of RFC 6464, smoothed. They are clear under end-to-end encryption."""

from __future__ import annotations

from dataclasses import dataclass

FLOOR = 80.0
"""Below this everything is silence (-dBov)."""
ATTACK = 0.4
RELEASE = 0.03
"""Part of the way a packet of 20 ms moves the level, louder and softer: words are caught, pauses between them passed."""
STARTS_SPEAKING = 42.0
STOPS_SPEAKING = 50.0
UNKNOWN_LEVEL = 36
"""Of a packet without a level: with DTX, packets that flow are speech."""
GAP_NS = 100_000_000
"""No packet for so long is silence (DTX, mute)."""


@dataclass(slots=True)
class Loudness:
    level: float = FLOOR
    """-dBov: 0 is the loudest there is."""
    active: bool = False
    heard_ns: int = 0

    def heard(self, level: int, now_ns: int) -> None:
        """A packet of this level; negative: it names none."""
        self.heard_ns = now_ns
        difference = (UNKNOWN_LEVEL if level < 0 else min(float(level), FLOOR)) - self.level
        self.level += difference * (ATTACK if difference < 0 else RELEASE)

    def settle(self, now_ns: int) -> None:
        """Every 20 ms: silence where nothing comes, and who counts as speaking."""
        if now_ns - self.heard_ns > GAP_NS:
            self.level += (FLOOR - self.level) * RELEASE
        self.active = self.level < (STOPS_SPEAKING if self.active else STARTS_SPEAKING)

    def hush(self) -> None:
        """Muted: silent at once."""
        self.level = FLOOR
        self.active = False

    @property
    def amplitude(self) -> float:
        """0..1, as clients are told."""
        return float(10 ** (-self.level / 20)) if self.active else 0.0

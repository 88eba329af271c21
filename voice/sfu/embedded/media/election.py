"""Who is forwarded where more people talk than anybody can follow: the loudest, and no flicker between them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from voice.sfu.embedded.media.audio_track import AudioTrack
from voice.sfu.embedded.media.loudness import STOPS_SPEAKING

MARGIN = 6.0
"""dB by which a challenger must be louder, all the time for"""
PATIENCE_NS = 140_000_000
HOLD_NS = 600_000_000
"""So long a seat is kept by somebody who still speaks."""


@dataclass(slots=True)
class Election:
    """Seats among the microphones of one room. Where there are at most `above` of them, or no seats, all are open."""

    seats: int
    above: int
    _seated: dict[AudioTrack, int] = field(default_factory=dict)
    """Since when."""
    _challenging: dict[AudioTrack, int] = field(default_factory=dict)
    """Since when somebody without a seat is louder than one with."""

    def hold(self, candidates: Sequence[AudioTrack], now_ns: int) -> None:
        """Open and close the gates of these tracks: those unmuted that have no priority."""
        if not self.seats or len(candidates) <= self.above:
            self._everybody(candidates)
            return
        self._leave(candidates)
        waiting = sorted((track for track in candidates if track not in self._seated), key=_level)
        while len(self._seated) < self.seats and waiting:
            self._seated[waiting.pop(0)] = now_ns
        self._challenge(waiting, now_ns)
        for track in candidates:
            track.gate(closed=track not in self._seated)

    def _everybody(self, candidates: Sequence[AudioTrack]) -> None:
        self._seated.clear()
        self._challenging.clear()
        for track in candidates:
            track.gate(closed=False)

    def _leave(self, candidates: Sequence[AudioTrack]) -> None:
        present = set(candidates)
        for track in [track for track in self._seated if track not in present]:
            del self._seated[track]

    def _challenge(self, waiting: Sequence[AudioTrack], now_ns: int) -> None:
        weakest = self._weakest(now_ns)
        if weakest is None:
            self._challenging.clear()
            return
        limit = _level(weakest) - MARGIN
        challengers = [track for track in waiting if _level(track) < limit]
        self._challenging = {track: self._challenging.get(track, now_ns) for track in challengers}
        patient = [track for track in challengers if now_ns - self._challenging[track] >= PATIENCE_NS]
        if patient:
            del self._seated[weakest]
            self._seated[patient[0]] = now_ns
            del self._challenging[patient[0]]

    def _weakest(self, now_ns: int) -> AudioTrack | None:
        """Of those whose seat may be taken."""
        free = [
            track
            for track, since in self._seated.items()
            if now_ns - since >= HOLD_NS or _level(track) >= STOPS_SPEAKING
        ]
        return max(free, key=_level, default=None)


def _level(track: AudioTrack) -> float:
    return track.loudness.level

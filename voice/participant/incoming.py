"""What is counted of one stream of packets that comes in."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from dataclasses import dataclass, field

_WINDOW = 1024
"""How far back a duplicate is known as such, in packets."""
_MASK = (1 << _WINDOW) - 1
_MAX_SAMPLES = 100_000


@dataclass(slots=True)
class IncomingStream:
    """By SSRC. Sequence numbers are extended to what RFC 3550 appendix A.1 calls the extended highest."""

    ssrc: int
    clock_rate: int = 48_000
    track_sid: str = ""
    packets: int = 0
    octets: int = 0
    duplicates: int = 0
    reordered: int = 0
    """Packets that came after one with a higher number, and were not there yet: repaired ones included."""
    highest: int = -1
    jitter: float = 0.0
    """In units of the clock rate, RFC 3550 section 6.4.1."""
    latencies_us: array[int] = field(default_factory=lambda: array("I"))
    """One way, of packets that carry the moment they were sent."""
    first_ns: int = 0
    last_ns: int = 0
    longest_gap_ns: int = 0
    """Between two arrivals."""
    _base: int = -1
    _seen: int = 0
    _transit: int | None = None

    @property
    def expected(self) -> int:
        return self.highest - self._base + 1 if self.packets else 0

    @property
    def lost(self) -> int:
        """Never arrived, until now."""
        return self.expected - (self.packets - self.duplicates)

    @property
    def jitter_ms(self) -> float:
        return self.jitter * 1000 / self.clock_rate

    def latency_ms(self, share: float) -> float:
        """The latency this share (0..1) of the packets did not exceed; 0 without samples."""
        return quantile(self.latencies_us, share) / 1000

    def arrived(self, sequence: int, timestamp: int, octets: int, now_ns: int) -> Sequence[int]:
        """Count a packet. The extended numbers skipped by it, for which one may ask again."""
        extended = self._extend(sequence)
        self.packets += 1
        self.octets += octets
        self._keep_time(timestamp, now_ns)
        if extended > self.highest:
            return self._advance(extended)
        self._late(extended)
        return ()

    def sampled(self, sent_ns: int, now_ns: int) -> None:
        """The packet carried the moment it was sent, on a clock that is ours too."""
        if len(self.latencies_us) < _MAX_SAMPLES and 0 <= now_ns - sent_ns < 4_000_000_000_000:
            self.latencies_us.append((now_ns - sent_ns) // 1000)

    def has(self, extended: int) -> bool:
        back = self.highest - extended
        return back < 0 or back >= _WINDOW or bool(self._seen >> back & 1)

    def _extend(self, sequence: int) -> int:
        if self.highest < 0:
            self._base = sequence
            self.highest = sequence - 1
            return sequence
        step = (sequence - self.highest + 0x8000) % 0x10000 - 0x8000
        return self.highest + step

    def _advance(self, extended: int) -> Sequence[int]:
        step = extended - self.highest
        skipped = range(max(self.highest + 1, extended - _WINDOW), extended)
        self.highest = extended
        self._seen = (self._seen << min(step, _WINDOW) | 1) & _MASK
        return skipped

    def _late(self, extended: int) -> None:
        if self.has(extended):
            self.duplicates += 1
            return
        self.reordered += 1
        self._base = min(self._base, extended)
        self._seen |= 1 << (self.highest - extended)

    def _keep_time(self, timestamp: int, now_ns: int) -> None:
        if self.last_ns:
            self.longest_gap_ns = max(self.longest_gap_ns, now_ns - self.last_ns)
        else:
            self.first_ns = now_ns
        self.last_ns = now_ns
        transit = (now_ns * self.clock_rate // 1_000_000_000 - timestamp) % 0x1_0000_0000
        if self._transit is not None:
            difference = abs((transit - self._transit + 0x8000_0000) % 0x1_0000_0000 - 0x8000_0000)
            self.jitter += (difference - self.jitter) / 16
        self._transit = transit


def quantile(values: Sequence[int], share: float) -> float:
    ordered = sorted(values)
    return float(ordered[min(len(ordered) - 1, int(len(ordered) * share))]) if ordered else 0.0

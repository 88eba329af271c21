"""What is counted, for metrics, connection quality and choices; and what a transport's both directions share."""

from __future__ import annotations

from dataclasses import dataclass, field

REPORTS_REMEMBERED = 8


@dataclass(slots=True)
class TrackStats:
    """Of one published track. Packets in, each once; packets out, once for every subscriber."""

    packets_in: int = 0
    bytes_in: int = 0
    packets_out: int = 0
    held_back: int = 0
    """Not forwarded: muted, or not among the loudest."""
    over_allowance: int = 0
    """Dropped because the publisher sends more than anybody needs to."""
    resent: int = 0
    """Repeated for subscribers who asked."""
    asked_for: int = 0
    """Repetitions asked of the publisher."""


@dataclass(frozen=True, slots=True)
class Quality:
    """Of one direction of one transport, over the last report interval."""

    loss: float = 0.0
    """0..1."""
    rtt_ms: float = 0.0
    """0 while it is not known."""
    jitter_ms: float = 0.0


@dataclass(slots=True)
class Link:
    """The path to one client. What we send teaches the round trip time, and what we receive needs it."""

    rtt_ms: float = 0.0
    users: int = 0

    def measured(self, rtt_ms: float) -> None:
        self.rtt_ms = rtt_ms if not self.rtt_ms else self.rtt_ms * 0.75 + rtt_ms * 0.25


@dataclass(slots=True)
class Rate:
    """Bits per second, smoothed; `measure` is called a few times a second."""

    bps: float = 0.0
    _bytes: int = 0
    _since_ns: int = -1

    def add(self, count: int) -> None:
        self._bytes += count

    def measure(self, now_ns: int) -> None:
        if self._since_ns >= 0 and now_ns > self._since_ns:
            sample = self._bytes * 8e9 / (now_ns - self._since_ns)
            self.bps = sample if not self.bps else self.bps * 0.6 + sample * 0.4
        self._since_ns = now_ns
        self._bytes = 0


@dataclass(slots=True)
class ReportTimes:
    """When sender reports went on to subscribers: a report block names one, and so tells the round trip time."""

    _sent_ns: dict[int, int] = field(default_factory=dict)

    def sent(self, middle: int, now_ns: int) -> None:
        self._sent_ns[middle] = now_ns
        while len(self._sent_ns) > REPORTS_REMEMBERED:
            del self._sent_ns[next(iter(self._sent_ns))]

    def round_trip_ms(self, last_sr: int, delay: int, now_ns: int) -> float | None:
        """RFC 3550, 6.4.1: A - LSR - DLSR, with A and LSR on our clock."""
        sent = self._sent_ns.get(last_sr)
        if sent is None:
            return None
        return min(max(0.0, (now_ns - sent) / 1e6 - delay * 1000 / 65536), 10_000.0)

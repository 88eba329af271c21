"""What arrived of one SSRC: order, loss and jitter (RFC 3550, appendix A), and what is missing and worth asking for."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import islice

from voice.sfu.embedded.media.numbers import U16, U32, signed32

MAX_JUMP = 3000
"""A jump of the sequence number further than this is a new beginning when the next packet follows it
(MAX_DROPOUT of RFC 3550, A.1)."""
REORDER_NS = 10_000_000
"""A hole may be mere reordering for so long, unless this many packets came after it:"""
REORDER_PACKETS = 3
GIVE_UP_NS = 1_000_000_000
MAX_TRIES = 8
MIN_RETRY_NS = 30_000_000
MAX_BURST = 128
"""Of packets that were lost in a row the last ones are asked for; more cost less to begin anew than to mend."""
NOTICE_NS = 1_000_000_000
"""In this time at most `max_holes` are noticed: numbers that jump are cheap to write, and must be cheap to read."""
FIRST_CYCLE = 1 << 16
"""Unwrapped numbers start one round up, so that none is negative."""


@dataclass(slots=True)
class Hole:
    """A packet that has not come (yet)."""

    since_ns: int
    due_ns: int
    tries: int = 0


@dataclass(frozen=True, slots=True)
class ReportedReception:
    """The numbers of a report block (RFC 3550, 6.4.1)."""

    fraction_lost: int
    """Of 256."""
    cumulative_lost: int
    highest: int
    jitter: int
    """In units of the timestamp."""


@dataclass(slots=True)
class Reception:
    """Numbers are unwrapped: they only grow. Bounded: at most `max_holes` packets are remembered as missing."""

    clock_rate: int
    max_holes: int
    highest: int = -1
    base: int = 0
    received: int = 0
    duplicates: int = 0
    jitter: float = 0.0
    holes: dict[int, Hole] = field(default_factory=dict)
    _transit: int = 0
    _after_jump: int = -1
    _reported_expected: int = 0
    _reported_received: int = 0
    _noticed: int = 0
    _noticed_since_ns: int = 0

    def accept(self, sequence: int, timestamp: int, now_ns: int) -> int:
        """The unwrapped number of a packet that is new; -1 for one that was here already or comes far too late."""
        highest = self.highest
        ahead = (sequence - highest) & U16
        if ahead == 1 and highest >= 0:
            number = self.highest = highest + 1
        elif highest < 0:
            number = self._begin(sequence, timestamp, now_ns)
        elif ahead == 0:
            number = -1
        elif ahead <= MAX_JUMP:
            number = self._skip(ahead, now_ns)
        elif ahead > U16 - MAX_JUMP:
            number = self._fill(highest - (U16 + 1 - ahead))
        else:
            number = self._jump(sequence, ahead)
        if number < 0:
            self.duplicates += 1
            return -1
        self.received += 1
        if number == self.highest:
            self._measure_jitter(timestamp, now_ns)
        return number

    def _begin(self, sequence: int, timestamp: int, now_ns: int) -> int:
        self.highest = self.base = FIRST_CYCLE + sequence
        self._transit = (now_ns * self.clock_rate // 1_000_000_000 - timestamp) & U32
        return self.highest

    def _skip(self, ahead: int, now_ns: int) -> int:
        first = self.highest + max(1, ahead - MAX_BURST)
        self.highest += ahead
        if self._may_notice(self.highest - first, now_ns):
            hole_due_ns = now_ns + REORDER_NS
            self.holes.update((number, Hole(now_ns, hole_due_ns)) for number in range(first, self.highest))
            for number in list(islice(self.holes, max(0, len(self.holes) - self.max_holes))):
                del self.holes[number]
        return self.highest

    def _may_notice(self, count: int, now_ns: int) -> bool:
        if now_ns - self._noticed_since_ns >= NOTICE_NS:
            self._noticed_since_ns, self._noticed = now_ns, 0
        self._noticed += count
        return self._noticed <= self.max_holes

    def _fill(self, number: int) -> int:
        return number if self.holes.pop(number, None) is not None else -1

    def _jump(self, sequence: int, ahead: int) -> int:
        if sequence != self._after_jump:
            self._after_jump = (sequence + 1) & U16
            return -1
        self._after_jump = -1
        self.holes.clear()
        self.base += ahead - 1  # what lies between was never sent
        self.highest += ahead
        return self.highest

    def _measure_jitter(self, timestamp: int, now_ns: int) -> None:
        """RFC 3550, A.8."""
        transit = now_ns * self.clock_rate // 1_000_000_000 - timestamp
        difference = abs(signed32(transit - self._transit))
        self._transit = transit
        if difference < self.clock_rate * 10:  # a jump of a clock is no jitter
            self.jitter += (difference - self.jitter) / 16

    # --- holes ---------------------------------------------------------------------------------------------------

    def worth_asking_for(self, now_ns: int, rtt_ms: float) -> list[int]:
        """Numbers to ask the sender for again now; what was asked for too often or too long ago is given up."""
        due = []
        lost = []
        for number, hole in self.holes.items():
            if now_ns - hole.since_ns > GIVE_UP_NS:
                lost.append(number)
            elif hole.tries >= MAX_TRIES:
                continue  # may still come; it is only not asked for any more
            elif now_ns >= hole.due_ns or (not hole.tries and self.highest - number >= REORDER_PACKETS):
                hole.tries += 1
                hole.due_ns = now_ns + max(MIN_RETRY_NS, int(rtt_ms * 1_200_000))
                due.append(number)
        for number in lost:
            del self.holes[number]
        return due

    # --- reports -------------------------------------------------------------------------------------------------

    def report(self) -> ReportedReception:
        """Since the last report, as RFC 3550 A.3 has it."""
        expected = self.highest - self.base + 1
        interval = expected - self._reported_expected
        lost = interval - (self.received - self._reported_received)
        self._reported_expected = expected
        self._reported_received = self.received
        fraction = min(255, (lost << 8) // interval) if interval > 0 and lost > 0 else 0
        total = max(-0x800000, min(0x7FFFFF, expected - self.received))
        return ReportedReception(fraction, total, (self.highest - FIRST_CYCLE) & U32, int(self.jitter) & U32)

    @property
    def jitter_ms(self) -> float:
        return self.jitter * 1000 / self.clock_rate

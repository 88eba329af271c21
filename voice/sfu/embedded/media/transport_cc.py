"""When packets arrived, told to their sender, who estimates the bandwidth from it
(draft-holmer-rmcat-transport-wide-cc-extensions-01)."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from voice.sfu.embedded.media.numbers import U16, unwrap16
from voice.sfu.embedded.media.rtcp import TRANSPORT_CC, TRANSPORT_FEEDBACK

TICK_NS = 250_000
"""Unit of a delta."""
REFERENCE_NS = 64_000_000
"""Unit of the reference time."""
REMEMBERED_NS = 500_000_000
"""So long a packet that was late is told of among its neighbours."""
MAX_REMEMBERED = 4096
MAX_GAP = 1000
"""Where the numbers jump further than this, what lies between is not reported lost."""
MAX_STATUSES = 420
"""In one feedback packet: at most 2 bytes of delta and a chunk of 2 bytes for 7 of them keep it under 1200 bytes."""

ABSENT, SMALL, LARGE = 0, 1, 2
_DELTA_LIMIT = 0x7FFF


@dataclass(slots=True)
class Arrivals:
    """Of one transport, in the numbers that count all its packets."""

    _times: dict[int, int] = field(default_factory=dict)
    _newest: int = -1
    _next: int = -1
    """The first number that was not reported on."""
    _late: int = -1
    """The oldest number that came after its neighbours were reported on."""
    _count: int = 0
    """Of feedback packets."""

    def arrived(self, sequence: int, now_ns: int) -> None:
        if self._newest < 0:
            self._newest = self._next = sequence + 0x10000
        number = unwrap16(sequence, self._newest)
        if number in self._times or len(self._times) >= MAX_REMEMBERED:
            return
        self._times[number] = now_ns
        if number > self._newest:
            self._newest = number
        elif number < self._next and (self._late < 0 or number < self._late):
            self._late = number

    def feedback(self, sender: int, media: int, now_ns: int) -> list[bytes]:
        """RTCP packets on everything that arrived since the last call."""
        start = self._next if self._late < 0 else self._late
        reported = sorted(number for number in self._times if number >= start)
        written: list[bytes] = []
        while reported:
            if reported[0] - start > MAX_GAP:
                start = reported[0]
            packet, taken, start = self._write(sender, media, start, reported)
            written.append(packet)
            del reported[:taken]
        self._next = max(self._next, self._newest + 1)
        self._late = -1
        self._forget(now_ns)
        return written

    def _forget(self, now_ns: int) -> None:
        """What is old; a packet that comes later than this is not told of."""
        self._times = {number: time for number, time in self._times.items() if now_ns - time <= REMEMBERED_NS}

    def _write(self, sender: int, media: int, start: int, reported: Sequence[int]) -> tuple[bytes, int, int]:
        """One packet from `start` on; how many of `reported` it took, and where the next one starts."""
        reference = self._times[reported[0]] // REFERENCE_NS
        statuses: list[int] = []
        deltas: list[bytes] = []
        clock = reference * REFERENCE_NS // TICK_NS
        taken = 0
        for number in reported:
            skipped = number - start - len(statuses)
            delta = self._times[number] // TICK_NS - clock
            if len(statuses) + skipped + 1 > MAX_STATUSES and taken:
                break
            if abs(delta) > _DELTA_LIMIT or skipped > MAX_GAP:
                break
            statuses.extend([ABSENT] * skipped)
            statuses.append(SMALL if 0 <= delta <= 0xFF else LARGE)
            deltas.append(struct.pack(">B", delta) if 0 <= delta <= 0xFF else struct.pack(">h", delta))
            clock += delta
            taken += 1
        head = struct.pack(
            ">IIHHI", sender, media, start & U16, len(statuses), (reference & 0xFFFFFF) << 8 | self._count
        )
        self._count = (self._count + 1) & 0xFF
        body = head + _chunks(statuses) + b"".join(deltas)
        return _padded(body), taken, start + len(statuses)


def _padded(body: bytes) -> bytes:
    """Padding counts itself in its last byte (RFC 3550, 6.4.1)."""
    missing = -len(body) % 4
    flag = 0x20 if missing else 0
    padding = bytes(missing - 1) + bytes((missing,)) if missing else b""
    return (
        struct.pack(">BBH", 0x80 | flag | TRANSPORT_CC, TRANSPORT_FEEDBACK, (len(body) + missing) // 4) + body + padding
    )


def _chunks(statuses: Sequence[int]) -> bytes:
    """Run lengths where one status repeats, else vectors of seven 2-bit statuses (sections 3.1.3 and 3.1.4)."""
    chunks = bytearray()
    position = 0
    while position < len(statuses):
        run = _run(statuses, position)
        if run >= 7 or position + run == len(statuses):
            chunks += struct.pack(">H", statuses[position] << 13 | run)
            position += run
        else:
            chunks += struct.pack(">H", _vector(statuses[position : position + 7]))
            position += 7
    return bytes(chunks)


def _run(statuses: Sequence[int], position: int) -> int:
    first = statuses[position]
    end = position + 1
    while end < len(statuses) and statuses[end] == first and end - position < 0x1FFF:
        end += 1
    return end - position


def _vector(statuses: Iterable[int]) -> int:
    word = 0xC000
    for place, status in enumerate(statuses):
        word |= status << (12 - 2 * place)
    return word

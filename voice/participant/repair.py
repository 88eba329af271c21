"""Asking for lost packets, and reading who asks us: generic NACK (RFC 4585 section 6.2.1), and receiver reports."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

FIRST_WAIT_NS = 10_000_000
"""Reordered packets need no repair."""
RETRY_NS = 60_000_000
TRIES = 4
_MAX_MISSING = 512
_TRANSPORT_FEEDBACK, _GENERIC_NACK = 205, 1
_SENDER_REPORT, _RECEIVER_REPORT = 200, 201


@dataclass(slots=True)
class _Wanted:
    due_ns: int
    tries: int = 0


@dataclass(slots=True)
class Missing:
    """What is missing of one stream, by extended sequence number."""

    asked: int = 0
    """Numbers asked for, repetitions included."""
    _wanted: dict[int, _Wanted] = field(default_factory=dict)

    def skipped(self, numbers: Sequence[int], now_ns: int) -> None:
        for number in numbers:
            if len(self._wanted) < _MAX_MISSING:
                self._wanted[number] = _Wanted(now_ns + FIRST_WAIT_NS)

    def due(self, now_ns: int, has: Callable[[int], bool]) -> list[int]:
        """What to ask for now; what came is forgotten, and what was asked for often enough is given up."""
        for number in [number for number in self._wanted if has(number)]:
            del self._wanted[number]
        due = [number for number, wanted in self._wanted.items() if wanted.due_ns <= now_ns]
        for number in due:
            wanted = self._wanted[number]
            wanted.tries, wanted.due_ns = wanted.tries + 1, now_ns + RETRY_NS
            if wanted.tries >= TRIES:
                del self._wanted[number]
        self.asked += len(due)
        return due

    def __bool__(self) -> bool:
        return bool(self._wanted)


def nack(sender: int, media: int, numbers: Sequence[int]) -> bytes:
    """One packet that asks for all of them."""
    pairs = list(_pairs(sorted({number & 0xFFFF for number in numbers})))
    header = struct.pack("!BBHII", 0x80 | _GENERIC_NACK, _TRANSPORT_FEEDBACK, 2 + len(pairs), sender, media)
    return header + b"".join(struct.pack("!HH", first, following) for first, following in pairs)


def _pairs(numbers: list[int]) -> Iterator[tuple[int, int]]:
    """A number, and a bit for each of the sixteen after it."""
    while numbers:
        first = numbers[0]
        near = [number for number in numbers if number - first <= 16]
        yield first, sum(1 << (number - first - 1) for number in near[1:])
        numbers = numbers[len(near) :]


@dataclass(frozen=True, slots=True)
class Report:
    """What the SFU says of a stream of ours."""

    ssrc: int
    fraction_lost: float
    lost: int
    jitter: int


def requests(compound: bytes) -> Iterator[tuple[int, int]]:
    """SSRC and sequence number of every packet asked for."""
    for count, kind, body in _packets(compound):
        if kind == _TRANSPORT_FEEDBACK and count == _GENERIC_NACK and len(body) >= 8:
            media = int.from_bytes(body[4:8], "big")
            for first, following in struct.iter_unpack("!HH", body[8 : len(body) - len(body) % 4]):
                yield media, first
                for bit in range(16):
                    if following >> bit & 1:
                        yield media, (first + bit + 1) & 0xFFFF


def reports(compound: bytes) -> Iterator[Report]:
    """RFC 3550 sections 6.4.1 and 6.4.2."""
    for count, kind, body in _packets(compound):
        start = {_SENDER_REPORT: 24, _RECEIVER_REPORT: 4}.get(kind)
        if start is None:
            continue
        for offset in range(start, min(len(body) - 23, start + count * 24), 24):
            ssrc, fraction, high, low, _, jitter = struct.unpack_from("!IBBHII", body, offset)
            yield Report(ssrc, fraction / 256, high << 16 | low, jitter)


def _packets(compound: bytes) -> Iterator[tuple[int, int, bytes]]:
    """Count (or format), type and body of each packet in a compound one."""
    offset = 0
    while offset + 4 <= len(compound):
        first, kind, words = struct.unpack_from("!BBH", compound, offset)
        end = offset + 4 + words * 4
        if first >> 6 != 2 or end > len(compound):
            return
        yield first & 31, kind, compound[offset + 4 : end]
        offset = end

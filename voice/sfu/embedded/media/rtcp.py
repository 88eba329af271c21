"""RTCP (RFC 3550, 4585, 5104): compound packets read within their bounds, and the packets we write ourselves."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from voice.sfu.embedded.media.numbers import U16, U32

SENDER_REPORT = 200
RECEIVER_REPORT = 201
SOURCE_DESCRIPTION = 202
GOODBYE = 203
TRANSPORT_FEEDBACK = 205
PAYLOAD_FEEDBACK = 206

NACK = 1
TRANSPORT_CC = 15
PLI = 1
FIR = 4
APPLICATION = 15

MAX_BYTES_PER_SECOND = 64_000
"""Of one transport; reports on a hundred streams and a NACK every 20 ms are a third of it."""
MAX_PACKETS = 64
"""Of one compound that are looked at."""
MAX_NACKED = 1024
"""Sequence numbers of one compound that are looked at."""
MAX_REPORT_BLOCKS = 31

_U32 = struct.Struct(">I")
_BLOCK = struct.Struct(">IBBHIIII")
_SENDER_INFO = struct.Struct(">IIIIII")


@dataclass(frozen=True, slots=True)
class ReportBlock:
    """What a receiver says about one SSRC (RFC 3550, 6.4.1)."""

    ssrc: int
    fraction_lost: int
    cumulative_lost: int
    highest: int
    jitter: int
    last_sr: int
    """The middle 32 bits of the NTP time of the last sender report it saw."""
    delay_since_last_sr: int
    """In 1/65536 s."""


@dataclass(frozen=True, slots=True)
class SenderReport:
    ssrc: int
    ntp: int
    """64 bits: seconds since 1900 in the upper half."""
    timestamp: int
    packets: int
    octets: int

    @property
    def middle(self) -> int:
        return self.ntp >> 16 & U32


# --- reading ---------------------------------------------------------------------------------------------------


def packets(compound: bytes) -> Iterator[tuple[int, int, bytes]]:
    """(type, count or format, what follows the first word) of each packet; stops at what contradicts itself."""
    position = 0
    for _ in range(MAX_PACKETS):
        if position + 4 > len(compound) or compound[position] >> 6 != 2:
            return
        end = position + 4 + 4 * int.from_bytes(compound[position + 2 : position + 4])
        if end > len(compound):
            return
        yield compound[position + 1], compound[position] & 0x1F, compound[position + 4 : end]
        position = end


def sender_report(body: bytes) -> SenderReport | None:
    if len(body) < _SENDER_INFO.size:
        return None
    ssrc, seconds, fraction, timestamp, count, octets = _SENDER_INFO.unpack_from(body)
    return SenderReport(ssrc, seconds << 32 | fraction, timestamp, count, octets)


def report_blocks(kind: int, count: int, body: bytes) -> list[ReportBlock]:
    """Of a sender or receiver report."""
    start = _SENDER_INFO.size if kind == SENDER_REPORT else 4
    blocks = []
    for position in range(start, start + count * _BLOCK.size, _BLOCK.size):
        if position + _BLOCK.size > len(body):
            break
        ssrc, fraction, high, low, highest, jitter, last, delay = _BLOCK.unpack_from(body, position)
        lost = high << 16 | low
        blocks.append(ReportBlock(ssrc, fraction, lost - (lost >> 23 << 24), highest, jitter, last, delay))
    return blocks


def goodbyes(count: int, body: bytes) -> list[int]:
    """SSRCs of a BYE."""
    return [_U32.unpack_from(body, position)[0] for position in range(0, min(4 * count, len(body) - 3), 4)]


def media_ssrc(body: bytes) -> int:
    """Of a feedback packet (RFC 4585, 6.1); -1 where it is too short."""
    return int(_U32.unpack_from(body, 4)[0]) if len(body) >= 8 else -1


def nacked(body: bytes) -> list[int]:
    """The 16-bit sequence numbers of a generic NACK (RFC 4585, 6.2.1)."""
    numbers: list[int] = []
    for position in range(8, len(body) - 3, 4):
        if len(numbers) >= MAX_NACKED:
            break
        first, following = struct.unpack_from(">HH", body, position)
        numbers.append(first)
        numbers.extend((first + bit + 1) & U16 for bit in range(16) if following >> bit & 1)
    return numbers


def full_intra_requests(body: bytes) -> list[int]:
    """SSRCs of which a FIR (RFC 5104, 4.3.1) asks a key frame."""
    return [_U32.unpack_from(body, position)[0] for position in range(8, len(body) - 7, 8)]


def estimated_bitrate(body: bytes) -> int | None:
    """Bits per second of a REMB (draft-alvestrand-rmcat-remb-03); None for other application feedback."""
    if len(body) < 16 or body[8:12] != b"REMB":
        return None
    word = int.from_bytes(body[12:16])
    return (word & 0x3FFFF) << (word >> 18 & 0x3F)


# --- writing ---------------------------------------------------------------------------------------------------


def _packet(kind: int, count: int, body: bytes) -> bytes:
    return struct.pack(">BBH", 0x80 | count, kind, len(body) // 4) + body


def write_receiver_reports(sender: int, blocks: Sequence[ReportBlock]) -> list[bytes]:
    """Receiver reports with all of these blocks, 31 in each."""
    return [
        _packet(RECEIVER_REPORT, len(some), _U32.pack(sender) + b"".join(map(_write_block, some)))
        for some in (
            blocks[start : start + MAX_REPORT_BLOCKS] for start in range(0, len(blocks) or 1, MAX_REPORT_BLOCKS)
        )
    ]


def _write_block(block: ReportBlock) -> bytes:
    lost = block.cumulative_lost & 0xFFFFFF
    return _BLOCK.pack(
        block.ssrc,
        block.fraction_lost,
        lost >> 16,
        lost & U16,
        block.highest,
        block.jitter,
        block.last_sr,
        block.delay_since_last_sr,
    )


def write_sender_report(report: SenderReport) -> bytes:
    return _packet(
        SENDER_REPORT,
        0,
        _SENDER_INFO.pack(
            report.ssrc,
            report.ntp >> 32,
            report.ntp & U32,
            report.timestamp & U32,
            report.packets & U32,
            report.octets & U32,
        ),
    )


def write_source_description(ssrc: int, cname: str) -> bytes:
    """SDES with the one item that has to be there (RFC 3550, 6.5.1)."""
    name = cname.encode()[:255]
    chunk = _U32.pack(ssrc) + bytes((1, len(name))) + name + b"\0"
    return _packet(SOURCE_DESCRIPTION, 1, chunk + bytes(-len(chunk) % 4))


def write_nack(sender: int, media: int, numbers: Iterable[int]) -> bytes:
    """Generic NACK for these numbers, ascending; several in one word where they are near each other."""
    items: list[tuple[int, int]] = []
    for number in numbers:
        distance = number - items[-1][0] if items else 0
        if items and 0 < distance <= 16:
            items[-1] = (items[-1][0], items[-1][1] | 1 << (distance - 1))
        else:
            items.append((number, 0))
    body = b"".join(struct.pack(">HH", number & U16, following) for number, following in items)
    return _packet(TRANSPORT_FEEDBACK, NACK, struct.pack(">II", sender, media) + body)


def write_pli(sender: int, media: int) -> bytes:
    """Picture loss indication (RFC 4585, 6.3.1)."""
    return _packet(PAYLOAD_FEEDBACK, PLI, struct.pack(">II", sender, media))


def write_fir(sender: int, media: int, command: int) -> bytes:
    """Full intra request; `command` counts the requests (RFC 5104, 4.3.1)."""
    return _packet(PAYLOAD_FEEDBACK, FIR, struct.pack(">IIIB3x", sender, 0, media, command & 0xFF))


def write_remb(sender: int, bitrate: int, ssrcs: Sequence[int]) -> bytes:
    """Receiver estimated maximum bitrate, for at most 255 SSRCs."""
    exponent = max(0, bitrate.bit_length() - 18)
    word = len(ssrcs[:255]) << 24 | exponent << 18 | bitrate >> exponent
    body = struct.pack(">II4sI", sender, 0, b"REMB", word) + b"".join(map(_U32.pack, ssrcs[:255]))
    return _packet(PAYLOAD_FEEDBACK, APPLICATION, body)

"""H.264 in RTP (RFC 6184): where a key frame starts. Headers of NAL units stay clear under end-to-end encryption."""

from __future__ import annotations

SLICE_IDR = 5
SEQUENCE_PARAMETERS = 7
STAP_A = 24
FU_A = 28
MAX_UNITS = 16
"""Of one aggregate that are looked at."""


def starts_key_frame(packet: bytes, start: int) -> bool:
    """The packet begins what a decoder needs to start: parameter sets, or an IDR picture."""
    if start >= len(packet):
        return False
    kind = packet[start] & 0x1F
    if kind == STAP_A:
        return any(_starts_picture(unit) for unit in _aggregated(packet, start + 1))
    if kind == FU_A:
        return start + 1 < len(packet) and bool(packet[start + 1] & 0x80) and _starts_picture(packet[start + 1] & 0x1F)
    return _starts_picture(kind)


def _starts_picture(kind: int) -> bool:
    return kind in (SLICE_IDR, SEQUENCE_PARAMETERS)


def _aggregated(packet: bytes, position: int) -> list[int]:
    """Types of the NAL units in a STAP-A."""
    kinds: list[int] = []
    while position + 2 < len(packet) and len(kinds) < MAX_UNITS:
        kinds.append(packet[position + 2] & 0x1F)
        position += 2 + (packet[position] << 8 | packet[position + 1])
    return kinds

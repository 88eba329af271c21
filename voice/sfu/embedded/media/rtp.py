"""Headers of RTP packets (RFC 3550, 5.1) and their extensions (RFC 8285), read in place and without objects.

Everything here takes packets of at least 12 bytes of version 2 (`plausible`), and answers -1 to what contradicts itself.
"""

from __future__ import annotations

import struct

HEADER = struct.Struct(">BBHII")
"""First byte (version, padding, extension, count of CSRCs), second byte (marker, payload type), sequence number,
timestamp, SSRC."""
HEADER_BYTES = 12

VERSION_AND_PADDING = 0xE0  # what is kept of the first byte: extensions and CSRCs do not travel on
EXTENSION = 0x10
MARKER = 0x80
ONE_BYTE = 0xBEDE
TWO_BYTE = 0x1000
SILENCE = 127
"""The lowest audio level of RFC 6464, in -dBov."""


def plausible(packet: bytes) -> bool:
    return len(packet) >= HEADER_BYTES and packet[0] >> 6 == 2


def read_header(packet: bytes, level_id: int, sequence_id: int) -> tuple[int, int, int]:
    """Where the payload starts, the audio level (0 loud .. 127 silent) and the transport-wide sequence number.

    The latter two are the extensions with these ids (0: not negotiated); -1 where they are absent. A payload that
    starts at -1 is a broken header.
    """
    first = packet[0]
    start = HEADER_BYTES + 4 * (first & 0x0F)
    length = len(packet)
    if not first & EXTENSION:
        return (start if start <= length else -1), -1, -1
    if start + 4 > length:
        return -1, -1, -1
    profile = packet[start] << 8 | packet[start + 1]
    position = start + 4
    end = position + 4 * (packet[start + 2] << 8 | packet[start + 3])
    if end > length:
        return -1, -1, -1
    level = sequence = -1
    if profile == ONE_BYTE:
        while position < end:
            head = packet[position]
            if not head:  # padding, RFC 8285 4.1.1
                position += 1
                continue
            identifier = head >> 4
            size = (head & 0x0F) + 1
            position += 1
            if identifier == 15 or position + size > end:
                break
            if identifier == level_id:
                level = packet[position] & 0x7F
            elif identifier == sequence_id and size >= 2:
                sequence = packet[position] << 8 | packet[position + 1]
            position += size
        return end, level, sequence
    if profile & 0xFFF0 == TWO_BYTE:
        level, sequence = _read_two_byte(packet, position, end, level_id, sequence_id)
    return end, level, sequence


def _read_two_byte(packet: bytes, position: int, end: int, level_id: int, sequence_id: int) -> tuple[int, int]:
    level = sequence = -1
    for identifier, start, size in _two_byte_elements(packet, position, end):
        if identifier == level_id and size >= 1:
            level = packet[start] & 0x7F
        elif identifier == sequence_id and size >= 2:
            sequence = packet[start] << 8 | packet[start + 1]
    return level, sequence


def extension_values(packet: bytes) -> dict[int, bytes]:
    """All header extensions by id: for packets of an SSRC not known yet, so it may cost something."""
    start = HEADER_BYTES + 4 * (packet[0] & 0x0F)
    if not packet[0] & EXTENSION or start + 4 > len(packet):
        return {}
    profile = int.from_bytes(packet[start : start + 2])
    end = start + 4 + 4 * int.from_bytes(packet[start + 2 : start + 4])
    if end > len(packet):
        return {}
    if profile == ONE_BYTE:
        elements = _one_byte_elements(packet, start + 4, end)
    elif profile & 0xFFF0 == TWO_BYTE:
        elements = _two_byte_elements(packet, start + 4, end)
    else:
        return {}
    return {identifier: packet[at : at + size] for identifier, at, size in elements}


def _one_byte_elements(packet: bytes, position: int, end: int) -> list[tuple[int, int, int]]:
    elements = []
    while position < end:
        head = packet[position]
        position += 1
        if not head:
            continue
        size = (head & 0x0F) + 1
        if head >> 4 == 15 or position + size > end:
            break
        elements.append((head >> 4, position, size))
        position += size
    return elements


def _two_byte_elements(packet: bytes, position: int, end: int) -> list[tuple[int, int, int]]:
    elements = []
    while position < end:
        identifier = packet[position]
        position += 1
        if not identifier:
            continue
        if position >= end or position + 1 + packet[position] > end:
            break
        elements.append((identifier, position + 1, packet[position]))
        position += 1 + packet[position]
    return elements


def only_padding(packet: bytes, start: int) -> bool:
    """Nothing is in it but padding (senders probe bandwidth so), or nothing at all."""
    if start >= len(packet):
        return True
    return bool(packet[0] & 0x20) and packet[-1] >= len(packet) - start

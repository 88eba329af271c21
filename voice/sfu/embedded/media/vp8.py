"""VP8 in RTP (RFC 7741): where a key frame starts, and the counters of the payload descriptor.

The descriptor is written by the packetizer, so frames that are encrypted end to end show it too; of the frame itself
clients leave the first bytes clear (10 of a key frame, 3 of others), which hold the bit that tells them apart.
"""

from __future__ import annotations

from typing import NamedTuple


class Counters(NamedTuple):
    """Offsets into the packet; 0 where the field is absent."""

    picture_at: int
    wide: bool
    """The picture id has 15 bits, not 7."""
    level_zero_at: int


NO_COUNTERS = Counters(0, False, 0)


def starts_key_frame(packet: bytes, start: int) -> bool:
    """The first packet of a key frame."""
    if start >= len(packet) or packet[start] & 0x17 != 0x10:  # S bit, and partition 0
        return False
    frame = start + descriptor_bytes(packet, start)
    return frame < len(packet) and not packet[frame] & 0x01  # P bit of the frame header


def descriptor_bytes(packet: bytes, start: int) -> int:
    """How long the payload descriptor is; longer than the packet where it is cut off."""
    if not packet[start] & 0x80:
        return 1
    if start + 1 >= len(packet):
        return 2
    flags = packet[start + 1]
    size = 2
    if flags & 0x80:
        wide = start + size < len(packet) and packet[start + size] & 0x80
        size += 2 if wide else 1
    if flags & 0x40:
        size += 1
    if flags & 0x30:
        size += 1
    return size


def counters(packet: bytes, start: int) -> Counters:
    length = len(packet)
    if start + 1 >= length or not packet[start] & 0x80:
        return NO_COUNTERS
    if start + descriptor_bytes(packet, start) > length:
        return NO_COUNTERS
    flags = packet[start + 1]
    position = start + 2
    picture_at = 0
    wide = False
    if flags & 0x80:
        picture_at = position
        wide = bool(packet[position] & 0x80)
        position += 2 if wide else 1
    return Counters(picture_at, wide, position if flags & 0x40 else 0)


def picture_id(packet: bytes, where: Counters) -> int:
    if not where.picture_at:
        return 0
    if where.wide:
        return (packet[where.picture_at] & 0x7F) << 8 | packet[where.picture_at + 1]
    return packet[where.picture_at] & 0x7F


def level_zero(packet: bytes, where: Counters) -> int:
    """TL0PICIDX."""
    return packet[where.level_zero_at] if where.level_zero_at else 0


def moved(packet: bytes, start: int, where: Counters, pictures: int, levels: int) -> bytes:
    """The payload with its picture id and TL0PICIDX moved on by these."""
    payload = bytearray(packet[start:])
    if where.picture_at:
        at = where.picture_at - start
        identifier = picture_id(packet, where) + pictures
        if where.wide:
            payload[at] = 0x80 | identifier >> 8 & 0x7F
            payload[at + 1] = identifier & 0xFF
        else:
            payload[at] = identifier & 0x7F
    if where.level_zero_at:
        payload[where.level_zero_at - start] = (level_zero(packet, where) + levels) & 0xFF
    return bytes(payload)

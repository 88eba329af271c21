"""Numbers that wrap: sequence numbers of 16 bits, timestamps of 32 (RFC 3550, 5.1)."""

from __future__ import annotations

U16 = 0xFFFF
U32 = 0xFFFFFFFF


def signed16(difference: int) -> int:
    """A difference of two 16-bit numbers as the short way round: -32768..32767."""
    return ((difference + 0x8000) & U16) - 0x8000


def signed32(difference: int) -> int:
    """A difference of two 32-bit numbers as the short way round."""
    return ((difference + 0x80000000) & U32) - 0x80000000


def unwrap16(number: int, near: int) -> int:
    """The number without bounds that is `number` in its low 16 bits and nearest to `near`."""
    return near + signed16(number - near)

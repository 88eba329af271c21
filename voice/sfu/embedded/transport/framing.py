"""RFC 4571: packets in a byte stream, each behind its length in two bytes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from voice.sfu.embedded.transport.limits import MAX_DATAGRAM

_HEADER = 2


class FrameTooLong(ValueError):  # noqa: N818 - reads like what happened
    """No packet of ours or of any client is so long: the stream is something else."""


def framed(packet: bytes | memoryview) -> bytes:
    return len(packet).to_bytes(_HEADER, "big") + bytes(packet)


@dataclass(slots=True)
class FrameReader:
    """Collects at most one unfinished frame."""

    _pending: bytearray = field(default_factory=bytearray)

    def feed(self, data: bytes) -> Iterator[bytes]:
        """The frames that are complete now; those of length 0 are skipped. Raises FrameTooLong."""
        self._pending += data
        start = 0
        while (end := self._end_of_frame(start)) is not None:
            if end > start + _HEADER:
                yield bytes(self._pending[start + _HEADER : end])
            start = end
        del self._pending[:start]

    def _end_of_frame(self, start: int) -> int | None:
        if len(self._pending) < start + _HEADER:
            return None
        length = int.from_bytes(self._pending[start : start + _HEADER], "big")
        if length > MAX_DATAGRAM:
            raise FrameTooLong
        end = start + _HEADER + length
        return end if len(self._pending) >= end else None

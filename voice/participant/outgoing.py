"""Opus payloads of others as RTP of ours."""

from __future__ import annotations

import secrets
import struct
from dataclasses import dataclass, field

_HEADER = struct.Struct("!BBHII")
_LEVEL = struct.Struct("!HHBBH")
_ONE_BYTE_FORM = 0xBEDE
_HISTORY = 256
"""Packets kept for repair: five seconds of sound."""


@dataclass(slots=True)
class OutgoingAudio:
    """One published track."""

    cid: str
    """What we call it until the SFU names it."""
    ssrc: int = field(default_factory=lambda: secrets.randbits(31) | 1)
    sid: str = ""
    mid: str = ""
    payload_type: int = 111
    level_id: int = 0
    """Of the audio level header extension (RFC 6464); 0: not agreed on."""
    negotiated: bool = False
    packets: int = 0
    resent: int = 0
    sequence: int = field(default_factory=lambda: secrets.randbits(15))
    """Of the next packet. Starts in the lower half (RFC 3711 section 3.3.1 has trouble with early wraps)."""
    timestamp: int = field(default_factory=lambda: secrets.randbits(32))
    _history: dict[int, bytes] = field(default_factory=dict)

    def packet(self, payload: bytes, level: int, samples: int, *, marker: bool = False) -> bytes:
        """The next packet; `level` is 0 (loudest) to 127 (silence), in -dBov, `samples` how long it lasts at 48 kHz."""
        second = self.payload_type | (0x80 if marker else 0)
        first = 0x90 if self.level_id else 0x80
        packet = _HEADER.pack(first, second, self.sequence, self.timestamp, self.ssrc)
        if self.level_id:
            voiced = 0x80 if level < 127 else 0
            packet += _LEVEL.pack(_ONE_BYTE_FORM, 1, self.level_id << 4, voiced | level, 0)
        packet += payload
        self._remember(self.sequence, packet)
        self.packets += 1
        self.sequence = (self.sequence + 1) & 0xFFFF
        self.timestamp = (self.timestamp + samples) & 0xFFFFFFFF
        return packet

    def again(self, sequence: int) -> bytes | None:
        """A packet the SFU misses."""
        packet = self._history.get(sequence)
        if packet is not None:
            self.resent += 1
        return packet

    def _remember(self, sequence: int, packet: bytes) -> None:
        self._history[sequence] = packet
        if len(self._history) > _HISTORY:
            del self._history[next(iter(self._history))]

"""Streams that come in, by SSRC; and the repair of their losses."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from voice.participant.incoming import IncomingStream
from voice.participant.offer import IncomingTrack
from voice.participant.repair import Missing, nack

STAMP_BYTES = 8
"""At the beginning of a payload: the monotonic clock of the sender in ns, big endian."""
_RETRY_SECONDS = 0.02
_CLOCK_RATES = {"audio": 48_000, "video": 90_000}


def stamped(payload: bytes, now_ns: int | None = None) -> bytes:
    """The payload with the moment in its first bytes, for who measures latency on the same machine."""
    moment = time.monotonic_ns() if now_ns is None else now_ns
    return moment.to_bytes(STAMP_BYTES, "big") + payload[STAMP_BYTES:]


@dataclass(slots=True)
class Listening:
    send_rtcp: Callable[[bytes], None]
    asks_again: bool
    reads_stamps: bool
    on_packet: Callable[[IncomingStream, bytes], None] | None = None
    """Told of each packet, header included."""
    streams: dict[int, IncomingStream] = field(default_factory=dict)
    _missing: dict[int, Missing] = field(default_factory=dict)
    _timer: asyncio.TimerHandle | None = None

    def expect(self, tracks: Iterable[IncomingTrack]) -> None:
        """Name the streams of these tracks."""
        for track in tracks:
            stream = self._stream(track.ssrc)
            stream.track_sid = track.track_sid
            stream.clock_rate = _CLOCK_RATES[track.kind]

    def arrived(self, packet: bytes) -> None:
        now = time.monotonic_ns()
        stream = self._stream(int.from_bytes(packet[8:12], "big"))
        sequence, timestamp = int.from_bytes(packet[2:4], "big"), int.from_bytes(packet[4:8], "big")
        skipped = stream.arrived(sequence, timestamp, len(packet), now)
        if self.reads_stamps:
            start = payload_start(packet)
            stream.sampled(int.from_bytes(packet[start : start + STAMP_BYTES], "big"), now)
        if skipped and self.asks_again:
            self._missing.setdefault(stream.ssrc, Missing()).skipped(skipped, now)
            self._arm()
        if self.on_packet is not None:
            self.on_packet(stream, packet)

    @property
    def asked(self) -> int:
        """Packets asked for again."""
        return sum(missing.asked for missing in self._missing.values())

    def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def _stream(self, ssrc: int) -> IncomingStream:
        stream = self.streams.get(ssrc)
        if stream is None:
            stream = self.streams[ssrc] = IncomingStream(ssrc)
        return stream

    def _arm(self) -> None:
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(_RETRY_SECONDS, self._ask)

    def _ask(self) -> None:
        self._timer = None
        now = time.monotonic_ns()
        for ssrc, missing in self._missing.items():
            numbers = missing.due(now, self.streams[ssrc].has)
            if numbers:
                self.send_rtcp(nack(1, ssrc, numbers))
        if any(self._missing.values()):
            self._arm()


def payload_start(packet: bytes) -> int:
    """Behind the sources and the header extension (RFC 3550 section 5.1)."""
    start = 12 + 4 * (packet[0] & 15)
    if packet[0] & 0x10:
        start += 4 + 4 * int.from_bytes(packet[start + 2 : start + 4], "big")
    return start

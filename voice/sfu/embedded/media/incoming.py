"""Streams of packets as publishers send them, by SSRC: the media itself, and its repetitions (RFC 4588)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from voice.sfu.embedded.contracts import Codec, Kind, MediaTransport
from voice.sfu.embedded.media import rtcp
from voice.sfu.embedded.media.measures import TrackStats
from voice.sfu.embedded.media.numbers import U16, U32
from voice.sfu.embedded.media.reception import Reception
from voice.sfu.embedded.media.rtp import HEADER, MARKER, VERSION_AND_PADDING

OVERHEAD = 60
"""Bytes each packet costs beside its own: a flood of tiny ones is a flood too."""
VIDEO_ALLOWANCE = 2_500_000
"""Bytes per second (with overhead) of one stream: far above what clients send. Bursts of one second are fine."""
AUDIO_PACKETS = 100
AUDIO_PACKET_BYTES = OVERHEAD + 100
"""What each has beside the sound: the shortest frames have 10 ms; headers, and what encryption adds."""
AUDIO_HOLES = 256
VIDEO_HOLES = 1000
REPORT_GAP_NS = 200_000_000
"""Sender reports that follow each other faster are not passed on: each goes to all subscribers."""


def audio_allowance(bitrate: int) -> int:
    """The same for sound in a room of this bitrate (bits per second): Opus may need twice as much for a moment."""
    return 2 * bitrate // 8 + AUDIO_PACKETS * AUDIO_PACKET_BYTES


class Track(Protocol):
    """Where the packets of a stream go."""

    kind: Kind
    stats: TrackStats

    def arrived(
        self,
        stream: MediaStream,
        packet: bytes,
        start: int,
        number: int,
        timestamp: int,
        level: int,
        now_ns: int,
    ) -> None:
        """A packet that is new. Its payload starts at `start`; `number` is unwrapped; level -1 is unknown."""
        ...

    def reported(self, stream: MediaStream, report: rtcp.SenderReport, now_ns: int) -> None: ...


@dataclass(slots=True, eq=False, repr=False)
class MediaStream:
    """One SSRC of one publisher: a track, or one simulcast layer of it."""

    track: Track
    transport: MediaTransport
    own_ssrc: int
    """Ours, as the author of RTCP."""
    ssrc: int
    quality: int
    """Which simulcast layer, 0 the lowest."""
    codecs: Mapping[int, Codec]
    """By payload type."""
    reception: Reception
    room_bitrate: Callable[[], int]
    """Of sound; bits per second."""
    heard_ns: int = 0
    closed: bool = False
    _allowance: float = 0.0
    _refilled_ns: int = 0
    _last_sr: int = 0
    _last_sr_ns: int = -REPORT_GAP_NS
    _commands: int = 0

    def accept(
        self, packet: bytes, start: int, second: int, sequence: int, timestamp: int, level: int, now_ns: int
    ) -> None:
        stats = self.track.stats
        self._allowance -= len(packet) + OVERHEAD
        if self._allowance < 0:
            self._refill(now_ns)
            if self._allowance < 0:
                self._allowance += len(packet) + OVERHEAD
                stats.over_allowance += 1
                return
        if second & 0x7F not in self.codecs:
            return
        number = self.reception.accept(sequence, timestamp, now_ns)
        if number < 0:
            return
        self.heard_ns = now_ns
        stats.packets_in += 1
        stats.bytes_in += len(packet)
        self.track.arrived(self, packet, start, number, timestamp, level, now_ns)

    def _refill(self, now_ns: int) -> None:
        limit = audio_allowance(self.room_bitrate()) if self.track.kind == "audio" else VIDEO_ALLOWANCE
        spent_ns = now_ns - self._refilled_ns if self._refilled_ns else 1_000_000_000
        self._allowance = min(float(limit), self._allowance + limit * spent_ns / 1e9)
        self._refilled_ns = now_ns

    def codec_name(self, packet: bytes) -> str:
        return self.codecs[packet[1] & 0x7F].name

    # --- RTCP ----------------------------------------------------------------------------------------------------

    def reported(self, report: rtcp.SenderReport, now_ns: int) -> None:
        often = now_ns - self._last_sr_ns < REPORT_GAP_NS
        self._last_sr = report.middle
        self._last_sr_ns = now_ns
        if not often:
            self.track.reported(self, report, now_ns)

    def report_block(self, now_ns: int) -> tuple[rtcp.ReportBlock, float] | None:
        """What we say about it in a receiver report, and the loss as a part of one."""
        if self.reception.highest < 0:
            return None
        report = self.reception.report()
        delay = (now_ns - self._last_sr_ns) * 65536 // 1_000_000_000 if self._last_sr else 0
        block = rtcp.ReportBlock(
            self.ssrc,
            report.fraction_lost,
            report.cumulative_lost,
            report.highest,
            report.jitter,
            self._last_sr,
            min(delay, U32),
        )
        return block, report.fraction_lost / 256

    def ask_again(self, now_ns: int, rtt_ms: float) -> None:
        """NACK what is missing and due."""
        missing = self.reception.worth_asking_for(now_ns, rtt_ms)
        if missing and self._feedback("nack"):
            self.track.stats.asked_for += len(missing)
            self.transport.send_rtcp(rtcp.write_nack(self.own_ssrc, self.ssrc, missing))

    def ask_for_key_frame(self) -> None:
        """PLI, or FIR where only that was agreed on."""
        if self._feedback("ccm fir") and not self._feedback("nack pli"):
            self._commands += 1
            self.transport.send_rtcp(rtcp.write_fir(self.own_ssrc, self.ssrc, self._commands))
        else:
            self.transport.send_rtcp(rtcp.write_pli(self.own_ssrc, self.ssrc))

    def _feedback(self, kind: str) -> bool:
        return any(kind in codec.feedback for codec in self.codecs.values())


@dataclass(slots=True, eq=False, repr=False)
class RepairStream:
    """Repetitions of a media stream on an SSRC of their own (RFC 4588)."""

    repaired: MediaStream
    payload_types: Mapping[int, int]
    """Of the repetition -> of the original."""

    def accept(
        self, packet: bytes, start: int, second: int, sequence: int, timestamp: int, level: int, now_ns: int
    ) -> None:
        """Unwrap: the payload starts with the sequence number of the original. Only padding: a bandwidth probe."""
        original = self.payload_types.get(second & 0x7F)
        padding = packet[-1] if packet[0] & 0x20 else 0
        if original is None or start + 2 > len(packet) - padding:
            return
        sequence = packet[start] << 8 | packet[start + 1]
        second = second & MARKER | original
        head = HEADER.pack(packet[0] & VERSION_AND_PADDING, second, sequence & U16, timestamp, self.repaired.ssrc)
        self.repaired.accept(head + packet[start + 2 :], 12, second, sequence, timestamp, level, now_ns)


def new_stream(
    track: Track,
    transport: MediaTransport,
    own_ssrc: int,
    ssrc: int,
    quality: int,
    codecs: Mapping[int, Codec],
    room_bitrate: Callable[[], int],
) -> MediaStream:
    clock_rate = next(iter(codecs.values())).clock_rate if codecs else 90_000
    holes = AUDIO_HOLES if track.kind == "audio" else VIDEO_HOLES
    reception = Reception(clock_rate or 90_000, holes)
    return MediaStream(track, transport, own_ssrc, ssrc, quality, codecs, reception, room_bitrate)

"""A published audio track: one packet in, the same packet out to everybody (RFC 7587; frames may be encrypted)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from voice.sfu.backend import Source
from voice.sfu.embedded.contracts import Kind, MediaTransport, SentSection
from voice.sfu.embedded.media.history import Repeats
from voice.sfu.embedded.media.incoming import MediaStream
from voice.sfu.embedded.media.loudness import Loudness
from voice.sfu.embedded.media.measures import Link, ReportTimes, TrackStats
from voice.sfu.embedded.media.numbers import U16, U32
from voice.sfu.embedded.media.reception import MAX_JUMP
from voice.sfu.embedded.media.renumbering import Renumbering
from voice.sfu.embedded.media.rtcp import SenderReport, write_sender_report, write_source_description
from voice.sfu.embedded.media.rtp import HEADER, HEADER_BYTES, MARKER, VERSION_AND_PADDING

HISTORY = 256
"""Packets kept for repetition: 5 s of 20 ms frames, at most 380 kB. A power of two."""
HISTORY_MASK = HISTORY - 1
TAKEOVER_NS = 200_000_000
"""Another stream becomes the track's source when the present one is silent for so long."""

SendToMany = Callable[[bytes, Sequence[tuple[MediaTransport, int]]], None]
"""A packet to transports, each with the second byte it gets."""


def send_one_by_one(packet: bytes, targets: Sequence[tuple[MediaTransport, int]]) -> None:
    for transport, second_byte in targets:
        transport.send_rtp(packet, second_byte)


@dataclass(slots=True)
class _Group:
    """Subscribers who get the very same bytes: all, but for those who paused for a while."""

    behind: int
    """Packets that were left out for them."""
    plain: list[tuple[MediaTransport, int]] = field(default_factory=list)
    marked: list[tuple[MediaTransport, int]] = field(default_factory=list)


@dataclass(slots=True, eq=False, repr=False)
class AudioTrack:
    sid: str
    participant_sid: str
    source: Source
    ssrc: int
    rtx_ssrc: int
    send_to_many: SendToMany
    priority: bool = False
    """Heard however many talk."""
    kind: Kind = "audio"
    stats: TrackStats = field(default_factory=TrackStats)
    loudness: Loudness = field(default_factory=Loudness)
    report_times: ReportTimes = field(default_factory=ReportTimes)
    last_out: int = -1
    """The (unwrapped) number of the newest packet that went out."""
    _muted: bool = False
    _gated: bool = False
    _open: bool = True
    _stream: MediaStream | None = None
    _numbers: Renumbering = field(default_factory=Renumbering)
    _last_in: int = -1
    """The publisher's number of the newest packet that went out."""
    _last_timestamp: int = 0
    _last_ns: int = 0
    _move_timestamps: int = 0
    _resuming: bool = False
    _history: list[bytes] = field(default_factory=lambda: [b""] * HISTORY)
    _groups: list[_Group] = field(default_factory=list)
    _subscriptions: list[AudioSubscription] = field(default_factory=list)
    _packets_out: int = 0
    _octets_out: int = 0

    @property
    def muted(self) -> bool:
        return self._muted

    @muted.setter
    def muted(self, muted: bool) -> None:
        self._muted = muted
        if muted:
            self.loudness.hush()
        self._reopen()

    def gate(self, *, closed: bool) -> None:
        """Closed: not among the loudest."""
        if closed is not self._gated:
            self._gated = closed
            self._reopen()

    def _reopen(self) -> None:
        self._open = not self._muted and not self._gated

    @property
    def open(self) -> bool:
        """Whether its packets are forwarded."""
        return self._open

    def wanted(self) -> int | None:
        """0 while somebody listens (audio has one quality)."""
        return 0 if any(not subscription.paused for subscription in self._subscriptions) else None

    # --- what the publisher sends --------------------------------------------------------------------------------

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
        if not self._muted:
            self.loudness.heard(level, now_ns)
        if not self._open or start >= len(packet):
            self.stats.held_back += 1
            self._resuming = True
            return
        if stream is not self._stream and not self._take_over(stream, number, timestamp, now_ns):
            return
        numbers = self._numbers
        second = packet[1] & MARKER
        if self._resuming or number - self._last_in > MAX_JUMP:
            if number != stream.reception.highest:
                return  # late: its place was closed
            self._resuming = False
            second = MARKER  # a talk spurt begins (RFC 3551, 4.1)
            if number > self._last_in + 1:
                numbers.resume(self._last_in, number, self.last_out + 1)
        out = number - numbers.offset if number >= numbers.start else numbers.number(number)
        if out < 0:
            return
        timestamp = (timestamp + self._move_timestamps) & U32
        if out > self.last_out:
            self.last_out = out
            self._last_in = number
            self._last_timestamp = timestamp
            self._last_ns = now_ns
        self._send(out, second, timestamp, packet, start)

    def _send(self, out: int, second: int, timestamp: int, packet: bytes, start: int) -> None:
        forwarded = (
            HEADER.pack(packet[0] & VERSION_AND_PADDING, second, out & U16, timestamp, self.ssrc) + packet[start:]
        )
        self._history[out & HISTORY_MASK] = forwarded
        self._packets_out += 1
        self._octets_out += len(forwarded) - HEADER_BYTES
        for group in self._groups:
            targets = group.marked if second else group.plain
            self.stats.packets_out += len(targets)
            self.send_to_many(renumbered(forwarded, out - group.behind) if group.behind else forwarded, targets)

    def _take_over(self, stream: MediaStream, number: int, timestamp: int, now_ns: int) -> bool:
        """A new source (the client joined again, or its SSRC changed) goes on where the old one ended."""
        present = self._stream
        if present is not None and not present.closed and now_ns - present.heard_ns < TAKEOVER_NS:
            return False
        self._stream = stream
        if self.last_out < 0:
            self._numbers.begin(number, number)
        else:
            expected = self._last_timestamp + (now_ns - self._last_ns) * stream.reception.clock_rate // 1_000_000_000
            self._move_timestamps = expected - timestamp
            self._numbers.begin(number, self.last_out + 1)
        self._last_in = number - 1
        return True

    def reported(self, stream: MediaStream, report: SenderReport, now_ns: int) -> None:
        """The publisher's sender report goes on with our SSRC, counts and timestamps: clients synchronise by it."""
        if stream is not self._stream or not self._open:
            return
        timestamp = report.timestamp + self._move_timestamps
        ours = SenderReport(self.ssrc, report.ntp, timestamp, self._packets_out, self._octets_out)
        written = write_sender_report(ours) + write_source_description(self.ssrc, self.participant_sid)
        self.report_times.sent(report.middle, now_ns)
        for subscription in self._subscriptions:
            subscription.transport.send_rtcp(written)

    # --- who listens ---------------------------------------------------------------------------------------------

    def add(self, subscription: AudioSubscription) -> None:
        self._subscriptions.append(subscription)
        self.regroup()

    def remove(self, subscription: AudioSubscription) -> None:
        if subscription in self._subscriptions:
            self._subscriptions.remove(subscription)
            self.regroup()

    def regroup(self) -> None:
        """Targets are prepared here, once, and not for every packet."""
        groups: dict[int, _Group] = {}
        for subscription in self._subscriptions:
            if subscription.paused:
                continue
            group = groups.setdefault(subscription.behind, _Group(subscription.behind))
            payload_type = subscription.section.codec.payload_type
            group.plain.append((subscription.transport, payload_type))
            group.marked.append((subscription.transport, payload_type | MARKER))
        self._groups = list(groups.values())

    def kept(self, sequence: int) -> bytes | None:
        """The packet that went out with this number, while it is remembered."""
        packet = self._history[sequence & HISTORY_MASK]
        return packet if packet and packet[2] << 8 | packet[3] == sequence else None


def renumbered(packet: bytes, number: int) -> bytes:
    return packet[:2] + (number & U16).to_bytes(2) + packet[4:]


@dataclass(slots=True, eq=False, repr=False)
class AudioSubscription:
    """One listener of one track."""

    track: AudioTrack
    transport: MediaTransport
    section: SentSection
    link: Link
    behind: int = 0
    """How many packets were left out while it was paused: its numbers show no hole."""
    stream_paused: bool = False
    """Always: audio is never given up for bandwidth."""
    _paused_at: int = -1
    _paused: bool = False
    _repeats: Repeats = field(default_factory=Repeats)

    @property
    def paused(self) -> bool:
        return self._paused

    @paused.setter
    def paused(self, paused: bool) -> None:
        if paused is self._paused:
            return
        self._paused = paused
        if paused:
            self._paused_at = self.track.last_out
        elif self._paused_at >= 0:
            self.behind += self.track.last_out - self._paused_at
        self.track.regroup()

    def want(self, quality: int, fps: int = 0) -> None:
        """Audio has one quality."""

    def renegotiated(self, section: SentSection) -> None:
        self.section = section
        self.track.regroup()

    def repeat(self, sequences: Sequence[int], now_ns: int) -> None:
        """The listener misses these."""
        if self._repeats.exhausted(now_ns):
            return
        for sequence in sequences:
            packet = self.track.kept((sequence + self.behind) & U16)
            if packet is None or not self._repeats.allow(sequence, now_ns, self.link.rtt_ms):
                continue
            self.track.stats.resent += 1
            payload_type = self.section.codec.payload_type
            self.transport.send_rtp(
                renumbered(packet, sequence) if self.behind else packet, packet[1] & MARKER | payload_type
            )

    def close(self) -> None:
        self.track.remove(self)

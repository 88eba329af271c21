"""One viewer of one video track: which layer he sees, and its packets rewritten so that a decoder sees one stream."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from voice.sfu.embedded.contracts import ABS_SEND_TIME, MediaTransport, SentSection
from voice.sfu.embedded.media import vp8
from voice.sfu.embedded.media.history import Repeats
from voice.sfu.embedded.media.measures import Link, Rate
from voice.sfu.embedded.media.numbers import U16, U32, signed16, signed32
from voice.sfu.embedded.media.renumbering import Renumbering
from voice.sfu.embedded.media.rtcp import SenderReport, write_sender_report, write_source_description
from voice.sfu.embedded.media.rtp import EXTENSION, HEADER, MARKER, ONE_BYTE, VERSION_AND_PADDING
from voice.sfu.embedded.media.video_layer import VideoLayer

if TYPE_CHECKING:
    from voice.sfu.embedded.media.video_track import VideoTrack

HISTORY = 1024
"""Packets kept for repetition: references to what arrived, which all viewers of a layer share. A power of two."""
HISTORY_MASK = HISTORY - 1
HIGHEST = 2
MAX_DISAGREEMENT_MS = 1000
"""Sender reports that put a switch of layers further than this from where the clock puts it are not believed."""


class Sent(NamedTuple):
    """What is needed to send a packet again."""

    number: int
    packet: bytes
    start: int
    timestamp: int
    pictures: int
    levels: int


@dataclass(slots=True, eq=False, repr=False)
class VideoSubscription:
    track: VideoTrack
    transport: MediaTransport
    section: SentSection
    link: Link
    quality: int = HIGHEST
    """What the viewer wants to see at most."""
    fps: int = 0
    """What he wants at most; a wish that is kept and not acted upon: layers differ in size here, not in time."""
    cap: int = HIGHEST
    """What fits his bandwidth; -1: nothing does."""
    rate: Rate = field(default_factory=Rate)
    stream_paused: bool = False
    """Nothing is sent, because nothing fits."""
    current: VideoLayer | None = None
    target: VideoLayer | None = None
    """Waits for a key frame of it."""
    _paused: bool = False
    _numbers: Renumbering = field(default_factory=Renumbering)
    _source: VideoLayer | None = None
    """Where the last packet came from."""
    _source_ssrc: int = -1
    _last_in: int = -1
    _last_out: int = -1
    _last_timestamp: int = 0
    _last_ns: int = 0
    _newest: Sent | None = None
    _move_timestamps: int = 0
    _move_pictures: int = 0
    _move_levels: int = 0
    _packets: int = 0
    _octets: int = 0
    _rtx_number: int = 0
    _history: list[Sent | None] = field(default_factory=lambda: [None] * HISTORY)
    _repeats: Repeats = field(default_factory=Repeats)

    # --- which layer ---------------------------------------------------------------------------------------------

    @property
    def paused(self) -> bool:
        """The viewer does not show it."""
        return self._paused

    @paused.setter
    def paused(self, paused: bool) -> None:
        self._paused = paused
        self.track.changed = True
        if paused:
            self._leave()

    def want(self, quality: int, fps: int = 0) -> None:
        self.quality = max(0, min(HIGHEST, quality))
        self.fps = fps
        self.track.changed = True

    def choose(self, now_ns: int) -> None:
        """Look for the layer that fits best; a change happens at its next key frame."""
        layer = self._best(now_ns)
        if layer is self.current:
            self._wait_for(None)
        elif layer is not self.target:
            self._wait_for(layer)
            if layer is not None:
                layer.ask_for_key_frame(now_ns)
        if layer is None and self.current is not None:
            self._leave()

    def _best(self, now_ns: int) -> VideoLayer | None:
        if self._paused or self.stream_paused or self.track.muted:
            return None
        live = self.track.live_layers(now_ns)
        fitting = [layer for layer in live if layer.quality <= min(self.quality, self.cap)]
        return fitting[-1] if fitting else next(iter(live), None)

    def _wait_for(self, layer: VideoLayer | None) -> None:
        if self.target is not None:
            self.target.waiting.remove(self)
        self.target = layer
        if layer is not None:
            layer.waiting.append(self)

    def _leave(self) -> None:
        self._wait_for(None)
        self._stop_viewing()

    def _stop_viewing(self) -> None:
        if self.current is not None:
            self.current.viewers.remove(self)
            self.current = None

    def interrupt(self) -> None:
        """The layer does not go on as it was: wait for its next key frame, unless one of another is waited for."""
        layer = self.current
        self._stop_viewing()
        if self.target is None:
            self._wait_for(layer)

    def understands(self, codec: str) -> bool:
        return self.section.codec.name.upper() == codec

    def ask_for_key_frame(self, now_ns: int) -> None:
        """The viewer's decoder cannot go on."""
        layer = self.target or self.current
        if layer is not None:
            layer.ask_for_key_frame(now_ns)

    # --- one continuous stream -----------------------------------------------------------------------------------

    def switch(
        self, layer: VideoLayer, packet: bytes, where: vp8.Counters, number: int, timestamp: int, now_ns: int
    ) -> None:
        """From this packet on, which starts a key frame, `layer` is what is seen."""
        self._wait_for(None)
        self._stop_viewing()
        self.current = layer
        layer.viewers.append(self)
        ssrc = layer.stream.ssrc if layer.stream else -1
        if self._last_out < 0:
            self._numbers.begin(number, number)
        elif layer is self._source and ssrc == self._source_ssrc and number > self._last_in:
            if number > self._last_in + 1:
                self._numbers.resume(self._last_in, number, self._last_out + 1)
        else:
            self._numbers.begin(number, self._last_out + 1)
            self._move_timestamps = self._distance(layer, timestamp, now_ns)
        if self._newest is not None and where is not vp8.NO_COUNTERS:
            self._count_on(self._newest, packet, where)
        self._source = layer
        self._source_ssrc = ssrc

    def _count_on(self, newest: Sent, packet: bytes, where: vp8.Counters) -> None:
        """Pictures of the new layer are counted from where those before ended. Fields wrap when they are written."""
        before = vp8.counters(newest.packet, newest.start)
        if before.picture_at and where.picture_at:
            last = vp8.picture_id(newest.packet, before) + newest.pictures
            self._move_pictures = last + 1 - vp8.picture_id(packet, where)
        if before.level_zero_at and where.level_zero_at:
            last = vp8.level_zero(newest.packet, before) + newest.levels
            self._move_levels = last + 1 - vp8.level_zero(packet, where)

    def _distance(self, layer: VideoLayer, timestamp: int, now_ns: int) -> int:
        """What is added to the new layer's timestamps. By the clock, or exactly where both layers sent reports."""
        clock_rate = self.section.codec.clock_rate
        elapsed = max(1, (now_ns - self._last_ns) * clock_rate // 1_000_000_000)
        by_clock = self._last_timestamp + elapsed - timestamp
        between = layer.distance(self._source, clock_rate) if self._source is not None else None
        if between is None:
            return by_clock & U32
        exact = between + self._move_timestamps
        agrees = abs(signed32(exact - by_clock)) < MAX_DISAGREEMENT_MS * clock_rate // 1000
        moves_on = signed32(timestamp + exact - self._last_timestamp) > 0
        return (exact if agrees and moves_on else by_clock) & U32

    def forward(self, packet: bytes, start: int, where: vp8.Counters, number: int, timestamp: int, now_ns: int) -> None:
        numbers = self._numbers
        out = number - numbers.offset if number >= numbers.start else numbers.number(number)
        if out < 0:
            return
        timestamp = (timestamp + self._move_timestamps) & U32
        if out > self._last_out:
            self._last_out = out
            self._last_in = number
            self._last_timestamp = timestamp
            self._last_ns = now_ns
        sent = Sent(out, packet, start, timestamp, self._move_pictures, self._move_levels)
        if out == self._last_out:
            self._newest = sent
        self._history[out & HISTORY_MASK] = sent
        payload = self._payload(sent, where)
        self._packets += 1
        self._octets += len(payload)
        self.track.stats.packets_out += 1
        self._send(self.section.codec.payload_type, out, self.track.ssrc, sent, payload, now_ns)

    def _payload(self, sent: Sent, where: vp8.Counters) -> bytes:
        if sent.pictures or sent.levels:
            return vp8.moved(sent.packet, sent.start, where, sent.pictures, sent.levels)
        return sent.packet[sent.start :]

    def _send(self, payload_type: int, number: int, ssrc: int, sent: Sent, payload: bytes, now_ns: int) -> None:
        second = sent.packet[1] & MARKER | payload_type
        first = sent.packet[0] & VERSION_AND_PADDING
        extension = self._send_time(now_ns)
        if extension:
            first |= EXTENSION
        packet = HEADER.pack(first, second, number & U16, sent.timestamp, ssrc) + extension + payload
        self.rate.add(len(packet))
        self.transport.send_rtp(packet, second)

    def _send_time(self, now_ns: int) -> bytes:
        """abs-send-time, where agreed on: 24 bits of seconds with 18 of them behind the point. REMB is made of it."""
        identifier = self.section.extensions.get(ABS_SEND_TIME, 0)
        if not 0 < identifier < 15:
            return b""
        time = ((now_ns << 18) // 1_000_000_000) & 0xFFFFFF
        return (ONE_BYTE << 48 | 1 << 32 | identifier << 28 | 2 << 24 | time).to_bytes(8)

    def omit(self, number: int) -> None:
        """A packet of the layer that is not forwarded, and must not look lost."""
        if number > self._last_in:
            self._last_out = max(self._last_out, number - 1 - self._numbers.offset)
            self._last_in = number
            self._numbers.omit(number)

    # --- repetitions and reports ---------------------------------------------------------------------------------

    def repeat(self, sequences: Sequence[int], now_ns: int) -> None:
        """The viewer misses these."""
        if self._repeats.exhausted(now_ns):
            return
        for sequence in sequences:
            sent = self._history[sequence & HISTORY_MASK]
            if sent is None or sent.number & U16 != sequence:
                continue
            if signed16(self._last_out - sequence) >= 0 and self._repeats.allow(sequence, now_ns, self.link.rtt_ms):
                self.track.stats.resent += 1
                self._send_again(sent, now_ns)

    def _send_again(self, sent: Sent, now_ns: int) -> None:
        where = vp8.counters(sent.packet, sent.start) if self.understands("VP8") else vp8.NO_COUNTERS
        payload = self._payload(sent, where)
        rtx = self.section.rtx
        if rtx is None:
            self._send(self.section.codec.payload_type, sent.number, self.track.ssrc, sent, payload, now_ns)
            return
        self._rtx_number += 1
        payload = (sent.number & U16).to_bytes(2) + payload
        self._send(rtx.payload_type, self._rtx_number, self.track.rtx_ssrc, sent, payload, now_ns)

    def report(self, report: SenderReport) -> None:
        """The layer's sender report, in our SSRC, timestamps and counts."""
        timestamp = report.timestamp + self._move_timestamps
        ours = SenderReport(self.track.ssrc, report.ntp, timestamp, self._packets, self._octets)
        self.transport.send_rtcp(
            write_sender_report(ours) + write_source_description(self.track.ssrc, self.track.participant_sid)
        )

    def renegotiated(self, section: SentSection) -> None:
        self.section = section

    def close(self) -> None:
        self._leave()
        if self in self.track.subscriptions:
            self.track.subscriptions.remove(self)

"""A published video track: up to three simulcast layers in, for every subscriber one continuous stream out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from voice.sfu.backend import Source
from voice.sfu.embedded.contracts import Kind
from voice.sfu.embedded.media import h264, vp8
from voice.sfu.embedded.media.incoming import MediaStream
from voice.sfu.embedded.media.measures import ReportTimes, TrackStats
from voice.sfu.embedded.media.reception import MAX_JUMP
from voice.sfu.embedded.media.rtcp import SenderReport
from voice.sfu.embedded.media.rtp import only_padding
from voice.sfu.embedded.media.video_layer import VideoLayer
from voice.sfu.embedded.media.video_subscription import VideoSubscription

LAYERS = 3
TAKEOVER_NS = 200_000_000
"""Another stream becomes the layer when the present one is silent for so long."""
CAMERA_PATIENCE_NS = 1_500_000_000
SCREEN_PATIENCE_NS = 5_000_000_000
"""A layer that is silent for so long is not sent any more; a still screen is sent seldom."""


@dataclass(slots=True, eq=False, repr=False)
class VideoTrack:
    sid: str
    participant_sid: str
    source: Source
    ssrc: int
    rtx_ssrc: int
    kind: Kind = "video"
    stats: TrackStats = field(default_factory=TrackStats)
    report_times: ReportTimes = field(default_factory=ReportTimes)
    layers: Sequence[VideoLayer] = field(default_factory=lambda: tuple(map(VideoLayer, range(LAYERS))))
    subscriptions: list[VideoSubscription] = field(default_factory=list)
    changed: bool = False
    """Layers are to be chosen anew at the next tick."""
    _muted: bool = False

    @property
    def muted(self) -> bool:
        return self._muted

    @muted.setter
    def muted(self, muted: bool) -> None:
        """Who watches goes on with a key frame when it is unmuted."""
        if muted and not self._muted:
            for layer in self.layers:
                self._interrupt(layer)
        self._muted = muted
        self.changed = True

    def wanted(self) -> int | None:
        """The highest quality anybody wants to see now; None where nobody wants any."""
        wishes = [subscription.quality for subscription in self.subscriptions if not subscription.paused]
        return max(wishes, default=None)

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
        layer = self.layers[stream.quality]
        if stream is not layer.stream and not self._take_over(layer, stream, now_ns):
            return
        if number > layer.newest:
            if number - layer.newest > MAX_JUMP and layer.newest >= 0:
                self._interrupt(layer)
            layer.newest = number
        layer.heard_ns = now_ns
        if only_padding(packet, start):
            for viewer in layer.viewers:
                viewer.omit(number)
            return
        layer.rate.add(len(packet))  # probes are no part of what a layer costs
        if self._muted:
            self.stats.held_back += 1
            return
        self._forward(layer, stream, packet, start, number, timestamp, now_ns)

    def _forward(
        self,
        layer: VideoLayer,
        stream: MediaStream,
        packet: bytes,
        start: int,
        number: int,
        timestamp: int,
        now_ns: int,
    ) -> None:
        name = stream.codec_name(packet).upper()
        where = vp8.counters(packet, start) if name == "VP8" else vp8.NO_COUNTERS
        if number == layer.newest and starts_key_frame(name, packet, start):
            layer.key_frame_started(now_ns)
            # Only where nothing of the frame went by already, which a viewer who comes late would miss.
            for subscription in [viewer for viewer in layer.waiting if viewer.understands(name)]:
                subscription.switch(layer, packet, where, number, timestamp, now_ns)
        for viewer in layer.viewers:
            viewer.forward(packet, start, where, number, timestamp, now_ns)

    def _take_over(self, layer: VideoLayer, stream: MediaStream, now_ns: int) -> bool:
        """A new source of this layer: the client joined again, or its SSRC changed."""
        present = layer.stream
        if present is not None and not present.closed and now_ns - present.heard_ns < TAKEOVER_NS:
            return False
        self._interrupt(layer)
        layer.stream = stream
        layer.newest = -1
        layer.report = None
        self.choose_all(now_ns)
        return True

    def _interrupt(self, layer: VideoLayer) -> None:
        """Its packets do not continue those before: viewers go on with the next key frame."""
        for viewer in list(layer.viewers):
            viewer.interrupt()

    def reported(self, stream: MediaStream, report: SenderReport, now_ns: int) -> None:
        layer = self.layers[stream.quality]
        if stream is not layer.stream:
            return
        layer.report = report
        self.report_times.sent(report.middle, now_ns)
        for viewer in layer.viewers:
            viewer.report(report)

    # --- layers --------------------------------------------------------------------------------------------------

    def live_layers(self, now_ns: int) -> list[VideoLayer]:
        """Those that are sent now, lowest first. The only one there is never counts as dead."""
        there = [layer for layer in self.layers if layer.stream is not None]
        if len(there) == 1:
            return there
        patience = SCREEN_PATIENCE_NS if self.source == "screen_share" else CAMERA_PATIENCE_NS
        return [layer for layer in there if layer.live(now_ns, patience)]

    def choose_all(self, now_ns: int) -> None:
        for subscription in self.subscriptions:
            subscription.choose(now_ns)

    def tick(self, now_ns: int) -> None:
        """Every 20 ms."""
        if self.changed:
            self.changed = False
            self.choose_all(now_ns)
        for layer in self.layers:
            layer.ask_if_due(now_ns)

    def measure(self, now_ns: int) -> None:
        """A few times a second."""
        for layer in self.layers:
            layer.rate.measure(now_ns)
        self.choose_all(now_ns)


def starts_key_frame(codec: str, packet: bytes, start: int) -> bool:
    if codec == "VP8":
        return vp8.starts_key_frame(packet, start)
    return h264.starts_key_frame(packet, start)

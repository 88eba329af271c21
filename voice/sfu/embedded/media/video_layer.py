"""One simulcast layer of a video track: who watches it, who waits for its next key frame, and how that is asked for."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from voice.sfu.embedded.media.incoming import MediaStream
from voice.sfu.embedded.media.measures import Rate
from voice.sfu.embedded.media.numbers import U32, signed32
from voice.sfu.embedded.media.rtcp import SenderReport

if TYPE_CHECKING:
    from voice.sfu.embedded.media.video_subscription import VideoSubscription

KEY_FRAME_GAP_NS = 500_000_000
"""Key frames are big: no layer is asked for one more often, however many ask."""
NEVER_NS = -(1 << 62)


@dataclass(slots=True, eq=False, repr=False)
class VideoLayer:
    quality: int
    """0 is the lowest."""
    stream: MediaStream | None = None
    rate: Rate = field(default_factory=Rate)
    heard_ns: int = NEVER_NS
    key_frame_ns: int = NEVER_NS
    """When the last one started."""
    newest: int = -1
    """The publisher's number of the newest packet."""
    viewers: list[VideoSubscription] = field(default_factory=list)
    waiting: list[VideoSubscription] = field(default_factory=list)
    """They see another layer, or nothing, until a key frame of this one comes."""
    report: SenderReport | None = None
    _asked_ns: int = NEVER_NS
    _asked: bool = False
    """Somebody wants a key frame, and was told to wait."""

    def live(self, now_ns: int, patience_ns: int) -> bool:
        return self.stream is not None and now_ns - self.heard_ns <= patience_ns

    def ask_for_key_frame(self, now_ns: int) -> None:
        self._asked = True
        self.ask_if_due(now_ns)

    def ask_if_due(self, now_ns: int) -> None:
        """Called by the tick: who waits asks again until the key frame comes."""
        if not (self._asked or self.waiting) or self.stream is None or now_ns - self._asked_ns < KEY_FRAME_GAP_NS:
            return
        self._asked = False
        self._asked_ns = now_ns
        self.stream.ask_for_key_frame()

    def key_frame_started(self, now_ns: int) -> None:
        self._asked = False
        self.key_frame_ns = now_ns

    def timestamp_at(self, ntp: int, clock_rate: int) -> int | None:
        """The layer's RTP time at this NTP time, by its last sender report."""
        if self.report is None:
            return None
        elapsed = ((ntp - self.report.ntp) * clock_rate + (1 << 31)) >> 32  # NTP counts 2^-32 s
        return (self.report.timestamp + elapsed) & U32

    def distance(self, other: VideoLayer, clock_rate: int) -> int | None:
        """What is added to a timestamp of this layer to be one of `other`; None while reports are missing."""
        if self.report is None:
            return None
        theirs = other.timestamp_at(self.report.ntp, clock_rate)
        return None if theirs is None else signed32(theirs - self.report.timestamp)

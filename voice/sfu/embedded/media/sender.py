"""The direction from us to one client: its subscriptions, what it reports and asks for."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from voice.sfu.embedded.allowance import Allowance
from voice.sfu.embedded.contracts import MediaTransport, SentSection
from voice.sfu.embedded.media import rtcp
from voice.sfu.embedded.media.audio_track import AudioSubscription, AudioTrack
from voice.sfu.embedded.media.bandwidth import Bandwidth, allocate
from voice.sfu.embedded.media.measures import Link, Quality
from voice.sfu.embedded.media.rtcp import ReportBlock
from voice.sfu.embedded.media.video_subscription import VideoSubscription
from voice.sfu.embedded.media.video_track import VideoTrack

if TYPE_CHECKING:
    from voice.sfu.embedded.media.room import MediaRoom

PublishedTrack = AudioTrack | VideoTrack
Subscription = AudioSubscription | VideoSubscription

ALLOCATE_NS = 200_000_000


@dataclass(slots=True, eq=False, repr=False)
class Sender:
    """One for each transport a client receives on."""

    room: MediaRoom
    transport: MediaTransport
    bandwidth: Bandwidth = field(default_factory=Bandwidth)
    _rtcp_bytes: Allowance = field(default_factory=lambda: Allowance(rtcp.MAX_BYTES_PER_SECOND))
    _link: Link = field(init=False)
    _by_ssrc: dict[int, Subscription] = field(default_factory=dict)
    _videos: list[VideoSubscription] = field(default_factory=list)
    _loss: float = 0.0
    _jitter_ms: float = 0.0
    _allocated_ns: int = 0

    def __post_init__(self) -> None:
        self._link = self.room.add_sender(self)

    def subscribe(self, track: PublishedTrack, section: SentSection) -> Subscription:
        """From now on the track is sent in this section. Once more for the same track: the section changed."""
        there = self._by_ssrc.get(track.ssrc)
        if there is not None:
            there.renegotiated(section)
            return there
        subscription = self._new(track, section)
        self._by_ssrc[track.ssrc] = subscription
        return subscription

    def _new(self, track: PublishedTrack, section: SentSection) -> Subscription:
        if isinstance(track, AudioTrack):
            audio = AudioSubscription(track, self.transport, section, self._link)
            track.add(audio)
            return audio
        video = VideoSubscription(track, self.transport, section, self._link)
        track.subscriptions.append(video)
        self._videos.append(video)
        video.choose(self.room.now_ns())
        return video

    def unsubscribe(self, subscription: Subscription) -> None:
        if self._by_ssrc.pop(subscription.track.ssrc, None) is not None:
            if isinstance(subscription, VideoSubscription):
                self._videos.remove(subscription)
            subscription.close()

    def forget(self, track: PublishedTrack) -> None:
        """The track is no more."""
        subscription = self._by_ssrc.get(track.ssrc)
        if subscription is not None:
            self.unsubscribe(subscription)

    def close(self) -> None:
        for subscription in list(self._by_ssrc.values()):
            self.unsubscribe(subscription)
        self.room.remove_sender(self)

    def quality(self) -> Quality:
        """How well the client receives, as it says."""
        return Quality(self._loss, self._link.rtt_ms, self._jitter_ms)

    # --- RTCP ----------------------------------------------------------------------------------------------------

    def rtcp(self, compound: bytes) -> None:
        """A compound of the client; what is not about its subscriptions is left alone."""
        now_ns = self.room.now_ns()
        if not self._rtcp_bytes.take(now_ns, len(compound)):
            return
        for kind, count, body in rtcp.packets(compound):
            if kind in (rtcp.SENDER_REPORT, rtcp.RECEIVER_REPORT):
                self._reported(rtcp.report_blocks(kind, count, body), now_ns)
            elif kind == rtcp.TRANSPORT_FEEDBACK and count == rtcp.NACK:
                self._missed(body, now_ns)
            elif kind == rtcp.PAYLOAD_FEEDBACK:
                self._payload_feedback(count, body, now_ns)

    def _missed(self, body: bytes, now_ns: int) -> None:
        subscription = self._by_ssrc.get(rtcp.media_ssrc(body))
        if subscription is not None and not subscription.paused:
            subscription.repeat(rtcp.nacked(body), now_ns)

    def _payload_feedback(self, form: int, body: bytes, now_ns: int) -> None:
        if form == rtcp.PLI:
            self._key_frame(rtcp.media_ssrc(body), now_ns)
        elif form == rtcp.FIR:
            for ssrc in rtcp.full_intra_requests(body):
                self._key_frame(ssrc, now_ns)
        elif form == rtcp.APPLICATION:
            bps = rtcp.estimated_bitrate(body)
            if bps is not None:
                self.bandwidth.told(bps, self._sent_bps(), now_ns)

    def _key_frame(self, ssrc: int, now_ns: int) -> None:
        subscription = self._by_ssrc.get(ssrc)
        if isinstance(subscription, VideoSubscription):
            subscription.ask_for_key_frame(now_ns)

    def _reported(self, blocks: list[ReportBlock], now_ns: int) -> None:
        losses: list[float] = []
        video: list[float] = []
        for block in blocks:
            subscription = self._by_ssrc.get(block.ssrc)
            if subscription is None:
                continue
            losses.append(block.fraction_lost / 256)
            if isinstance(subscription, VideoSubscription):
                video.append(block.fraction_lost / 256)
            self._jitter_ms = block.jitter * 1000 / subscription.section.codec.clock_rate
            rtt_ms = subscription.track.report_times.round_trip_ms(block.last_sr, block.delay_since_last_sr, now_ns)
            if rtt_ms is not None:
                self._link.measured(rtt_ms)
        if losses:
            self._loss = sum(losses) / len(losses)
        if video:
            self.bandwidth.lost(sum(video) / len(video), self._sent_bps(), now_ns)

    def _sent_bps(self) -> float:
        return sum(subscription.rate.bps for subscription in self._videos)

    def tick(self, now_ns: int) -> None:
        """A few times a second: which layers fit."""
        if not self._videos or now_ns - self._allocated_ns < ALLOCATE_NS:
            return
        self._allocated_ns = now_ns
        for subscription in self._videos:
            subscription.rate.measure(now_ns)
        self.bandwidth.grow(now_ns)
        allocate(self._videos, self.bandwidth.bps, now_ns)

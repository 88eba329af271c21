"""The media of one room: its tracks, who hears whom, and what is due every 20 ms."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from voice.sfu.backend import Source
from voice.sfu.embedded.contracts import Kind, MediaTransport
from voice.sfu.embedded.media.audio_track import AudioTrack, SendToMany, send_one_by_one
from voice.sfu.embedded.media.election import Election
from voice.sfu.embedded.media.measures import Link
from voice.sfu.embedded.media.receiver import Receiver
from voice.sfu.embedded.media.sender import PublishedTrack, Sender
from voice.sfu.embedded.media.video_track import VideoTrack

MEASURE_NS = 200_000_000
LOUDER = 1.2
"""A change of a speaker's level by less than this factor is not worth telling."""


@dataclass(frozen=True, slots=True)
class Speaker:
    participant_sid: str
    level: float
    """0..1; 0 when not active."""
    active: bool


@dataclass(slots=True, eq=False, repr=False)
class MediaRoom:
    """`now_ns` is a monotonic clock. `send_to_many` is that of the port, where it has one."""

    now_ns: Callable[[], int]
    top_speakers: int
    """So many are forwarded where more than `top_speakers_above` microphones are open; 0: all, always."""
    top_speakers_above: int
    send_to_many: SendToMany = send_one_by_one
    audio_bitrate: int = 64_000
    """Bits per second; who sends much more is not forwarded as long as he does."""
    own_ssrc: int = field(default_factory=lambda: secrets.randbelow(0xFFFFFFFE) + 1)
    """Author of our RTCP."""
    cname: str = field(default_factory=lambda: secrets.token_hex(8))
    tracks: dict[str, PublishedTrack] = field(default_factory=dict)
    """By sid."""
    _ssrcs: set[int] = field(default_factory=set)
    _receivers: list[Receiver] = field(default_factory=list)
    _senders: list[Sender] = field(default_factory=list)
    _links: dict[int, Link] = field(default_factory=dict)
    """By id of the transport, which its Receiver and Sender keep alive."""
    _election: Election = field(init=False)
    _told: dict[str, Speaker] = field(default_factory=dict)
    _measured_ns: int = 0

    def __post_init__(self) -> None:
        self._election = Election(self.top_speakers, self.top_speakers_above)

    # --- tracks --------------------------------------------------------------------------------------------------

    def publish(
        self, track_sid: str, participant_sid: str, kind: Kind, source: Source, *, priority: bool = False
    ) -> PublishedTrack:
        """A track that others can be subscribed to at once; packets come when a Receiver is told of it."""
        ssrc, rtx_ssrc = self._new_ssrc(), self._new_ssrc()
        track: PublishedTrack
        if kind == "audio":
            track = AudioTrack(track_sid, participant_sid, source, ssrc, rtx_ssrc, self.send_to_many, priority)
        else:
            track = VideoTrack(track_sid, participant_sid, source, ssrc, rtx_ssrc)
        self.tracks[track_sid] = track
        return track

    def _new_ssrc(self) -> int:
        while (ssrc := secrets.randbelow(0xFFFFFFFE) + 1) in self._ssrcs:
            pass
        self._ssrcs.add(ssrc)
        return ssrc

    def unpublish(self, track: PublishedTrack) -> None:
        """Ends all its subscriptions. Receivers are told by their next update."""
        if self.tracks.pop(track.sid, None) is None:
            return
        self._ssrcs -= {track.ssrc, track.rtx_ssrc}
        for sender in self._senders:
            sender.forget(track)

    # --- transports ----------------------------------------------------------------------------------------------

    def add_receiver(self, receiver: Receiver) -> Link:
        self._receivers.append(receiver)
        return self._link(receiver.transport)

    def add_sender(self, sender: Sender) -> Link:
        self._senders.append(sender)
        return self._link(sender.transport)

    def _link(self, transport: MediaTransport) -> Link:
        link = self._links.setdefault(id(transport), Link())
        link.users += 1
        return link

    def remove_receiver(self, receiver: Receiver) -> None:
        if receiver in self._receivers:
            self._receivers.remove(receiver)
            self._unlink(receiver.transport)

    def remove_sender(self, sender: Sender) -> None:
        if sender in self._senders:
            self._senders.remove(sender)
            self._unlink(sender.transport)

    def _unlink(self, transport: MediaTransport) -> None:
        link = self._links[id(transport)]
        link.users -= 1
        if not link.users:
            del self._links[id(transport)]

    # --- time ----------------------------------------------------------------------------------------------------

    def tick(self, now_ns: int) -> None:
        """Every 20 ms."""
        self._elect(now_ns)
        for track in self.tracks.values():
            if isinstance(track, VideoTrack):
                track.tick(now_ns)
        for receiver in self._receivers:
            receiver.tick(now_ns)
        if now_ns - self._measured_ns >= MEASURE_NS:
            self._measured_ns = now_ns
            self._measure(now_ns)

    def _elect(self, now_ns: int) -> None:
        candidates: list[AudioTrack] = []
        for track in self.tracks.values():
            if not isinstance(track, AudioTrack):
                continue
            track.loudness.settle(now_ns)
            if track.source != "microphone" or track.priority:
                track.gate(closed=False)
            elif not track.muted:
                candidates.append(track)
        self._election.hold(candidates, now_ns)

    def _measure(self, now_ns: int) -> None:
        for track in self.tracks.values():
            if isinstance(track, VideoTrack):
                track.measure(now_ns)
        for sender in self._senders:
            sender.tick(now_ns)

    def speakers(self) -> Sequence[Speaker]:
        """Who started or stopped speaking or became clearly louder or softer since the last call."""
        now = self._speaking()
        silent = [Speaker(sid, 0.0, active=False) for sid in self._told if sid not in now]
        changed = [speaker for sid, speaker in now.items() if _differs(speaker, self._told.get(sid))]
        for speaker in changed:
            self._told[speaker.participant_sid] = speaker
        for speaker in silent:
            del self._told[speaker.participant_sid]
        return changed + silent

    def _speaking(self) -> dict[str, Speaker]:
        """The loudest track of each participant who speaks."""
        speaking: dict[str, Speaker] = {}
        for track in self.tracks.values():
            if not isinstance(track, AudioTrack) or not track.loudness.active:
                continue
            level = track.loudness.amplitude
            before = speaking.get(track.participant_sid)
            if before is None or before.level < level:
                speaking[track.participant_sid] = Speaker(track.participant_sid, level, active=True)
        return speaking


def _differs(now: Speaker, before: Speaker | None) -> bool:
    return before is None or not before.level / LOUDER <= now.level <= before.level * LOUDER

"""What the callers of this folder say and are told: plans for sections, and what a negotiation came to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from voice.sfu.embedded.contracts import Candidate, Codec, ReceivedSection, SentSection
from voice.sfu.embedded.sdp.codecs import VIDEO_CODECS, AudioPolicy


@dataclass(frozen=True, slots=True)
class LocalDescription:
    """Our side of one transport."""

    ufrag: str
    password: str
    fingerprint: str
    """SHA-256 of our certificate, hexadecimal with colons."""
    candidates: Sequence[Candidate]
    session_id: int = 1
    """The same for all descriptions of one transport."""
    version: int = 1
    """Grows with every description of it (RFC 8866 section 5.2)."""


@dataclass(frozen=True, slots=True)
class SentTrack:
    """A published track on its way to one subscriber."""

    participant_sid: str
    """PA_.., whose it is."""
    track_sid: str
    """TR_.."""
    codec: Codec
    """As its publisher sends it: `ReceivedSection.codecs[0]`."""
    ssrc: int
    rtx_ssrc: int | None = None

    @property
    def msid(self) -> str:
        """LiveKit's clients read participant and track from the stream id, and the track again from the track id."""
        return f"{self.participant_sid}|{self.track_sid} {self.track_sid}"


@dataclass(frozen=True, slots=True)
class SectionPlan:
    """What we want of one m-section; both may be, and neither means inactive."""

    receive: bool = False
    """A track is published here."""
    send: SentTrack | None = None
    audio: AudioPolicy = field(default_factory=AudioPolicy)
    video: Sequence[str] = VIDEO_CODECS
    """Codecs a published video may have."""


@dataclass(frozen=True, slots=True)
class Answer:
    """Our answer to an offer of a client."""

    text: str
    received: Mapping[str, ReceivedSection]
    """By mid: sections planned to receive, that their client sends in and whose format we know."""
    sent: Mapping[str, SentSection]
    """By mid: sections planned to send, that their client receives in and whose codec he decodes."""


@dataclass(frozen=True, slots=True)
class Offer:
    """Our offer to a client (protocol v0)."""

    text: str
    tracks: Mapping[str, str]
    """Mid -> sid of the track it carries: `mid_to_track_id`."""

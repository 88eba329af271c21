"""What we offer: a data channel, sections to receive in, and one for each track of ours."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from voice.participant.ice import Credentials
from voice.participant.outgoing import OutgoingAudio
from voice.sfu.embedded.contracts import AUDIO_LEVEL, Codec, Kind
from voice.sfu.embedded.sdp import Description, writing

_OPUS = Codec(111, "opus", 48_000, 2, "minptime=10;useinbandfec=1", ("nack",))
_VIDEO_FEEDBACK = ("nack", "nack pli", "ccm fir", "goog-remb")
_VP8 = Codec(96, "VP8", 90_000, feedback=_VIDEO_FEEDBACK)
_H264_PARAMETERS = "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f"
_H264 = Codec(102, "H264", 90_000, parameters=_H264_PARAMETERS, feedback=_VIDEO_FEEDBACK)
_FORMATS: Mapping[Kind, Mapping[Codec, int | None]] = {"audio": {_OPUS: None}, "video": {_VP8: 97, _H264: 103}}
"""With the payload type of the repair stream."""
_LEVEL_ID = 1


@dataclass(slots=True)
class _Section:
    mid: str
    kind: Kind
    sending: OutgoingAudio | None = None


@dataclass(frozen=True, slots=True)
class IncomingTrack:
    """What an answer says will come."""

    ssrc: int
    kind: Kind
    participant_sid: str
    track_sid: str


@dataclass(slots=True)
class LocalSections:
    """All sections of our one connection, the data channel first; they only grow."""

    fingerprint: str
    data: bool = True
    """Offer a data channel. What is offered is not used: LiveKit's server waits for SCTP in vain, and with media."""
    _sections: list[_Section] = field(default_factory=list)
    _version: int = 0

    def receive(self, audio: int, video: int) -> None:
        """More sections to receive in."""
        for kind, count in (("audio", audio), ("video", video)):
            for _ in range(count):
                self._sections.append(_Section(str(len(self._sections) + 1), "audio" if kind == "audio" else "video"))

    def send(self, track: OutgoingAudio) -> None:
        track.mid = str(len(self._sections) + 1)
        self._sections.append(_Section(track.mid, "audio", track))

    def offer(self, ours: Credentials) -> str:
        self._version += 1
        data = [(*writing.data_section("0", "UDP/DTLS/SCTP"),)] if self.data else []
        mids = [*(["0"] if self.data else []), *(section.mid for section in self._sections)]
        lines = [
            "v=0",
            f"o=- 1 {self._version} IN IP4 127.0.0.1",
            "s=-",
            "t=0 0",
            f"a=group:BUNDLE {' '.join(mids)}",
            "a=ice-options:trickle",
            f"a=fingerprint:sha-256 {self.fingerprint}",
        ]
        # We are a DTLS client and nothing else; LiveKit's server would be one too, were it asked to choose.
        transport = [f"a=ice-ufrag:{ours.ufrag}", f"a=ice-pwd:{ours.password}", "a=setup:active"]
        for section in (*data, *map(_lines, self._sections)):
            lines += [*section, *transport]
        return writing.text(lines)

    def answered(self, answer: Description) -> list[IncomingTrack]:
        """Take over what was agreed on for our tracks; what comes in."""
        by_mid = {section.mid: section for section in answer.sections}
        coming: list[IncomingTrack] = []
        for ours in self._sections:
            theirs = by_mid.get(ours.mid)
            if theirs is None:
                continue
            if ours.sending is not None and theirs.receives and theirs.codecs:
                ours.sending.payload_type = theirs.codecs[0].payload_type
                ours.sending.level_id = theirs.extensions.get(AUDIO_LEVEL, 0)
                ours.sending.negotiated = True
            elif theirs.sends and theirs.ssrcs:
                participant_sid = theirs.stream_id.partition("|")[0]
                coming.append(IncomingTrack(theirs.ssrcs[0], ours.kind, participant_sid, theirs.track_id))
        return coming


def _lines(section: _Section) -> Iterable[str]:
    formats = _FORMATS[section.kind]
    numbers = [str(codec.payload_type) for codec in formats] + [str(number) for number in formats.values() if number]
    yield f"m={section.kind} 9 UDP/TLS/RTP/SAVPF {' '.join(numbers)}"
    yield writing.NO_ADDRESS
    yield f"a=mid:{section.mid}"
    yield "a=sendonly" if section.sending else "a=recvonly"
    yield "a=rtcp-mux"
    yield "a=rtcp-rsize"
    for codec, repair in formats.items():
        rtx = Codec(repair, "rtx", codec.clock_rate, parameters=f"apt={codec.payload_type}") if repair else None
        yield from writing.codec(codec, rtx)
    if section.sending:
        yield f"a=extmap:{_LEVEL_ID} {AUDIO_LEVEL}"
        yield f"a=msid:- {section.sending.cid}"
        yield f"a=ssrc:{section.sending.ssrc} cname:voice"

"""Which codecs we forward, and which of a section's payload types is meant.

Opus for sound (no RED: end-to-end encrypted calls do not use it, and it doubles what the loss of a packet costs), VP8 and
H.264 for pictures. We forward what we cannot read, so a format is only sent to those who offered the same one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from voice.sfu.embedded.contracts import Codec
from voice.sfu.embedded.sdp.description import Section
from voice.sfu.embedded.sdp.section_reader import parameter

VIDEO_CODECS = ("VP8", "H264")
"""What `enabled_publish_codecs` of a join response names."""

_CLOCK_RATES = {"opus": (48_000, 2), "vp8": (90_000, 1), "h264": (90_000, 1)}
_KNOWN_NAMES = {"opus": "opus", "vp8": "VP8", "h264": "H264"}
_TRANSPORT_CC = "transport-cc"
_FEEDBACK: Mapping[str, tuple[str, ...]] = {
    "audio": ("nack",),
    "video": ("goog-remb", _TRANSPORT_CC, "ccm fir", "nack", "nack pli"),
}
_OUR_PAYLOAD_TYPES = {"opus": 111, "VP8": 96, "H264": 102}
"""Of our own offers; the repair stream of each has the next one."""
_DEFAULT_H264_PROFILE = "420010"
"""RFC 6184 section 8.1: Baseline, where profile-level-id is not written."""


@dataclass(frozen=True, slots=True)
class AudioPolicy:
    """How a client is asked to send sound."""

    bitrate: int = 64_000
    """Bits per second, 6000 to 510000 in Opus (RFC 7587 section 6.1)."""
    frame_ms: int = 20
    """10, 20, 40 or 60."""
    dtx: bool = True
    """Send next to nothing in silence."""
    stereo: bool = False
    """Ask for two channels even where the offer does not announce them (sprop-stereo)."""


def receivable(section: Section, video: Sequence[str] = VIDEO_CODECS) -> Codec | None:
    """The one format we take from this client in this section; None where he offers none we forward.

    One only: a published track has one codec, whoever subscribes to it. His first choice among those we take: clients
    put what they mean to send first (RTCRtpTransceiver.setCodecPreferences).
    """
    for codec in section.codecs:
        allowed = section.kind == "audio" or _known_name(codec) in video
        if allowed and _is_acceptable(section, codec) and _is_widely_decoded(codec):
            return _with_our_feedback(codec)
    return None


def all_acceptable(section: Section) -> tuple[Codec, ...]:
    """Everything we could one day send here; keeps a section open that carries nothing now."""
    return tuple(_with_our_feedback(codec) for codec in section.codecs if _is_acceptable(section, codec))


def sendable(section: Section, codec: Codec) -> Codec | None:
    """The client's payload type for what somebody else publishes as `codec`; None where he cannot decode it."""
    name = codec.name.lower()
    same = [theirs for theirs in section.codecs if theirs.name.lower() == name and _is_acceptable(section, theirs)]
    if name == "h264":
        same = _h264_decoders(same, codec)
    return _without_transport_cc(_with_our_feedback(same[0])) if same else None


def repair_of(section: Section, codec: Codec) -> Codec | None:
    """The rtx format (RFC 4588) that repairs this one."""
    for payload_type, repaired in section.rtx.items():
        if repaired == codec.payload_type:
            return Codec(payload_type, "rtx", codec.clock_rate, parameters=f"apt={codec.payload_type}")
    return None


def with_policy(codec: Codec, policy: AudioPolicy) -> Codec:
    """The Opus format of an answer: RFC 7587 section 7 reads these as what the answerer wants to be sent.

    `stereo=1` of an offer says nothing of what will be sent: LiveKit's clients write it into every section.
    """
    stereo = policy.stereo or parameter(codec.parameters, "sprop-stereo") == "1"
    parameters = [f"minptime={min(10, policy.frame_ms)}", "useinbandfec=1", f"usedtx={int(policy.dtx)}"]
    parameters.append(f"maxaveragebitrate={policy.bitrate}")
    if stereo:
        parameters.append("stereo=1")
    return replace(codec, parameters=";".join(parameters))


def offered_form(codec: Codec) -> Codec:
    """What a track's codec is called in our own offers: our payload type, the publisher's profile, all our feedback."""
    name = _known_name(codec)
    kind = "audio" if name == "opus" else "video"
    parameters = "minptime=10;useinbandfec=1" if kind == "audio" else codec.parameters
    return replace(
        codec,
        payload_type=_OUR_PAYLOAD_TYPES[name],
        name=name,
        parameters=parameters,
        feedback=tuple(each for each in _FEEDBACK[kind] if each != _TRANSPORT_CC),
    )


def _known_name(codec: Codec) -> str:
    return _KNOWN_NAMES.get(codec.name.lower(), "")


def _is_acceptable(section: Section, codec: Codec) -> bool:
    name = codec.name.lower()
    return (
        (name == "opus") == (section.kind == "audio")
        and _CLOCK_RATES.get(name) == (codec.clock_rate, codec.channels)
        and (name != "h264" or _packetization(codec) in ("0", "1"))
    )


def _without_transport_cc(codec: Codec) -> Codec:
    """Of what we send: see `extensions.agreed`."""
    return replace(codec, feedback=tuple(each for each in codec.feedback if each != _TRANSPORT_CC))


def _with_our_feedback(codec: Codec) -> Codec:
    """Feedback for video as offered. NACK for audio always: no browser offers it, all of them use it when asked.

    (libwebrtc takes what it keeps for resending from the answer alone; RFC 4585 section 4.2 would have it offered.)
    """
    name = _known_name(codec)
    feedback = _FEEDBACK["audio"]
    if name != "opus":
        feedback = tuple(kind for kind in codec.feedback if kind in _FEEDBACK["video"])
    return replace(codec, name=name, feedback=feedback)


# --- H.264 -----------------------------------------------------------------------------------------------------


def _packetization(codec: Codec) -> str:
    return parameter(codec.parameters, "packetization-mode") or "0"


def _profile(codec: Codec) -> str:
    """profile_idc and the constraints that name a profile; the level may differ (level-asymmetry-allowed)."""
    identifier = (parameter(codec.parameters, "profile-level-id") or _DEFAULT_H264_PROFILE).lower()
    if identifier.startswith("42"):
        return "constrained baseline" if identifier[2:3] in ("c", "d", "e", "f", "4", "5", "6", "7") else "baseline"
    return identifier[:4]


def _is_widely_decoded(codec: Codec) -> bool:
    """Of H.264 only what every client decodes: the baselines, in fragments (mode 1, RFC 6184 section 6.3)."""
    if codec.name.lower() != "h264":
        return True
    return _profile(codec).endswith("baseline") and _packetization(codec) == "1"


def _h264_decoders(offered: list[Codec], sent: Codec) -> list[Codec]:
    """The same profile first; else any other of the same packetization where the sender is a baseline."""
    same_mode = [codec for codec in offered if _packetization(codec) == _packetization(sent)]
    same_profile = [codec for codec in same_mode if _profile(codec) == _profile(sent)]
    if same_profile or not _profile(sent).endswith("baseline"):
        return same_profile
    return same_mode

"""Offers and answers recorded from real clients (Chromium 156, Firefox 153 ESR, livekit-client 2.23, Python SDK 1.2.1)."""

from __future__ import annotations

from pathlib import Path

from voice.sfu.embedded.contracts import Candidate, Codec
from voice.sfu.embedded.sdp import LocalDescription, SentTrack

OFFERS = Path(__file__).parent / "offers"
OUR_FINGERPRINT = ":".join(["AB"] * 32)
LOCAL = LocalDescription(
    ufrag="oursfrag",
    password="our-password-is-22-char".replace("-", "x"),
    fingerprint=OUR_FINGERPRINT,
    candidates=[Candidate("192.0.2.1", 7882, "udp", 2130706431), Candidate("192.0.2.1", 7882, "tcp", 1671430143)],
    session_id=77,
    version=3,
)
OPUS = Codec(111, "opus", 48_000, 2)
VP8 = Codec(96, "VP8", 90_000)
H264 = Codec(102, "H264", 90_000, parameters="level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f")
ALICES_VOICE = SentTrack("PA_alice", "TR_voice", OPUS, 1111)
ALICES_CAMERA = SentTrack("PA_alice", "TR_camera", VP8, 2222, 3333)


def recorded(name: str) -> str:
    """The text, with its line endings."""
    return (OFFERS / f"{name}.sdp").read_bytes().decode()


def section_of(text: str, mid: str) -> list[str]:
    """The lines of one section of a description."""
    sections = text.replace("\r\n", "\n").split("\nm=")[1:]
    return next(("m=" + s).split("\n") for s in sections if f"\na=mid:{mid}\n" in s + "\n")

"""Header extensions (RFC 8285) we agree to, with the ids their offerer gave them.

Sections of video echo MID, RID and repaired RID even when they carry nothing: Chromium refuses its next simulcast offer
otherwise ("negotiates simulcast but does not negotiate the RID extension").
"""

from __future__ import annotations

from collections.abc import Mapping

from voice.sfu.embedded.contracts import ABS_SEND_TIME, AUDIO_LEVEL, MID, REPAIRED_RID, RID, TRANSPORT_CC

_WANTED: Mapping[str, tuple[str, ...]] = {
    "audio": (MID, AUDIO_LEVEL),
    "video": (MID, RID, REPAIRED_RID, ABS_SEND_TIME, TRANSPORT_CC),
}
_HIGHEST_ONE_BYTE_ID = 14
"""RFC 8285 section 4.2. We never agree to extmap-allow-mixed, so nobody sends the two-byte form."""

OURS: Mapping[str, Mapping[str, int]] = {
    "audio": {},
    "video": {ABS_SEND_TIME: 3},
}
"""The ids of our own offers; one id means one thing in all sections of a bundle (RFC 8843 section 9.2)."""


def agreed(kind: str, offered: Mapping[str, int], *, only_sent: bool = False) -> dict[str, int]:
    """Those of an offer that an answer repeats. `only_sent`: of a section in which we send and receive nothing.

    What we send has no transport-wide numbers: a client that agreed to them would report on nothing, instead of telling us
    his estimate (REMB, made of abs-send-time).
    """
    wanted = [uri for uri in _WANTED.get(kind, ()) if not (only_sent and uri == TRANSPORT_CC)]
    return {uri: number for uri, number in offered.items() if uri in wanted and 1 <= number <= _HIGHEST_ONE_BYTE_ID}

"""Lines that offers and answers of ours have in common."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from voice.sfu.embedded.contracts import Candidate, Codec
from voice.sfu.embedded.sdp.plan import LocalDescription, SentTrack

SCTP_PORT = 5000
MAX_MESSAGE_SIZE = 65_536
NO_ADDRESS = "c=IN IP4 0.0.0.0"


def session(local: LocalDescription, bundle: Iterable[str]) -> list[str]:
    """The lines before the first section."""
    lines = [
        "v=0",
        f"o=- {local.session_id} {local.version} IN IP4 127.0.0.1",
        "s=-",
        "t=0 0",
        f"a=fingerprint:sha-256 {local.fingerprint}",
        "a=ice-lite",
        "a=msid-semantic:WMS *",
    ]
    mids = " ".join(bundle)
    return [*lines, f"a=group:BUNDLE {mids}"] if mids else lines


def transport(local: LocalDescription, setup: str, *, with_candidates: bool) -> list[str]:
    """ICE and DTLS of a section; candidates stand in the first of a bundle only (RFC 8843 section 7.1.3)."""
    lines = [f"a=setup:{setup}", f"a=ice-ufrag:{local.ufrag}", f"a=ice-pwd:{local.password}"]
    if with_candidates:
        lines += [candidate_line(number, candidate) for number, candidate in enumerate(local.candidates, 1)]
        lines.append("a=end-of-candidates")
    return lines


def candidate_line(foundation: int, candidate: Candidate) -> str:
    """RFC 8839 section 5.1; for TCP RFC 6544 section 4.5: we listen, so passive."""
    line = (
        f"a=candidate:{foundation} 1 {candidate.protocol} {candidate.priority} "
        f"{candidate.address} {candidate.port} typ host"
    )
    return line + " tcptype passive" if candidate.protocol == "tcp" else line


def codec(form: Codec, repair: Codec | None) -> list[str]:
    """The attributes of one format, and of the one that repairs it."""
    number = form.payload_type
    channels = f"/{form.channels}" if form.channels != 1 else ""
    lines = [f"a=rtpmap:{number} {form.name}/{form.clock_rate}{channels}"]
    lines += [f"a=rtcp-fb:{number} {kind}" for kind in form.feedback]
    if form.parameters:
        lines.append(f"a=fmtp:{number} {form.parameters}")
    return lines if repair is None else lines + codec(repair, None)


def extensions(ids: Mapping[str, int]) -> list[str]:
    return [f"a=extmap:{number} {uri}" for uri, number in ids.items()]


def stream(track: SentTrack, *, repaired: bool) -> list[str]:
    """Whose stream comes here, and with which SSRCs."""
    lines = [f"a=msid:{track.msid}"]
    ssrcs = [track.ssrc]
    if repaired and track.rtx_ssrc is not None:
        ssrcs.append(track.rtx_ssrc)
        lines.append(f"a=ssrc-group:FID {track.ssrc} {track.rtx_ssrc}")
    for ssrc in ssrcs:
        lines += [f"a=ssrc:{ssrc} cname:{track.participant_sid}", f"a=ssrc:{ssrc} msid:{track.msid}"]
    return lines


def data_section(mid: str, protocol: str, port: int = 9) -> list[str]:
    return [
        f"m=application {port} {protocol} webrtc-datachannel",
        NO_ADDRESS,
        f"a=mid:{mid}",
        f"a=sctp-port:{SCTP_PORT}",
        f"a=max-message-size:{MAX_MESSAGE_SIZE}",
    ]


def text(lines: Sequence[str]) -> str:
    return "\r\n".join(lines) + "\r\n"

"""Our answer to an offer: one bundle, ICE-lite, DTLS server, and in every section what was planned for it.

Protocol v1 has no other negotiation, and the publishing side of v0 is the same with nothing sent.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from voice.sfu.embedded.contracts import Codec, Kind, ReceivedSection, SentSection
from voice.sfu.embedded.sdp import extensions, writing
from voice.sfu.embedded.sdp.codecs import all_acceptable, receivable, repair_of, sendable, with_policy
from voice.sfu.embedded.sdp.description import Description, Direction, SdpError, Section
from voice.sfu.embedded.sdp.plan import Answer, LocalDescription, SectionPlan, SentTrack

MEDIA_PROTOCOLS = ("UDP/TLS/RTP/SAVPF", "TCP/TLS/RTP/SAVPF", "RTP/SAVPF")
DATA_PROTOCOLS = ("UDP/DTLS/SCTP", "TCP/DTLS/SCTP")
MAX_LAYERS = 3

_NOTHING = SectionPlan()


def answer(offer: Description, local: LocalDescription, plans: Mapping[str, SectionPlan]) -> Answer:
    """Answer with what `plans` (by mid) want; sections without a plan stay open and inactive.

    Raises SdpError where the offer leaves us no DTLS server role, or nothing that can be accepted. What a plan asks for
    and the offer does not allow is left out of `received` and `sent`, never an error.
    """
    if offer.setup not in ("actpass", "active", ""):
        raise SdpError("We answer as DTLS server: offer a=setup:actpass.")
    answered = [_answered(section, offer, plans.get(section.mid, _NOTHING)) for section in offer.sections]
    _keep_one_data_section(answered)
    if not any(part.accepted for part in answered):
        raise SdpError("There is no section we can accept.")
    lines = writing.session(local, (part.section.mid for part in answered if part.accepted))
    first = True
    for part in answered:
        lines += part.lines
        if part.accepted:
            lines += writing.transport(local, "passive", with_candidates=first)
            first = False
    return Answer(
        writing.text(lines),
        {part.section.mid: part.received for part in answered if part.received},
        {part.section.mid: part.sent for part in answered if part.sent},
    )


@dataclass(slots=True)
class _Part:
    """One section of the answer, without its transport."""

    section: Section
    lines: list[str]
    accepted: bool = True
    received: ReceivedSection | None = None
    sent: SentSection | None = None


def _answered(section: Section, offer: Description, plan: SectionPlan) -> _Part:
    in_bundle = section.mid in offer.bundle or len(offer.sections) == 1
    if section.is_rejected or not in_bundle:
        return _rejected(section)
    if section.kind == "application":
        return _data(section)
    if section.kind is None or section.protocol not in MEDIA_PROTOCOLS or not section.rtcp_mux:
        return _rejected(section)
    return _media(section, section.kind, plan)


def _rejected(section: Section) -> _Part:
    """RFC 3264 section 6: port 0, and the formats as offered."""
    lines = [f"m={section.media} 0 {section.protocol} {' '.join(section.formats)}", writing.NO_ADDRESS, "a=inactive"]
    if section.mid:
        lines.append(f"a=mid:{section.mid}")
    return _Part(section, lines, accepted=False)


def _data(section: Section) -> _Part:
    if section.protocol not in DATA_PROTOCOLS or section.formats != ("webrtc-datachannel",):
        return _rejected(section)
    return _Part(section, writing.data_section(section.mid, section.protocol))


def _keep_one_data_section(parts: list[_Part]) -> None:
    """RFC 8841 section 11: one SCTP association for one bundle."""
    accepted = [index for index, part in enumerate(parts) if part.accepted and part.section.kind == "application"]
    for index in accepted[1:]:
        parts[index] = _rejected(parts[index].section)


def _media(section: Section, kind: Kind, plan: SectionPlan) -> _Part:
    received = _received(section, kind, plan) if plan.receive and section.sends else None
    sent = _sent(section, kind, plan.send) if plan.send and section.receives else None
    codecs = _codecs(section, received, sent)
    if not codecs:
        return _rejected(section)
    lines = [
        f"m={kind} 9 {section.protocol} {' '.join(_formats(section, codecs))}",
        writing.NO_ADDRESS,
        f"a=mid:{section.mid}",
        f"a={_direction(received, sent)}",
        "a=rtcp-mux",
        "a=rtcp-rsize",
    ]
    for codec in codecs:
        lines += writing.codec(codec, repair_of(section, codec))
    only_sent = sent is not None and received is None
    lines += writing.extensions(extensions.agreed(kind, section.extensions, only_sent=only_sent))
    if received:
        lines += _how_to_send(section, received, plan)
    if sent and plan.send:
        lines += writing.stream(plan.send, repaired=sent.rtx is not None)
    return _Part(section, lines, received=received, sent=sent)


def _codecs(section: Section, received: ReceivedSection | None, sent: SentSection | None) -> Sequence[Codec]:
    """Best first. What is sent both ways has to be the same section's format; a client takes the first for his own."""
    chosen = list(received.codecs) if received else []
    if sent and sent.codec.payload_type not in [codec.payload_type for codec in chosen]:
        chosen.append(sent.codec)
    return chosen or all_acceptable(section)


def _formats(section: Section, codecs: Sequence[Codec]) -> list[str]:
    repairs = [repair_of(section, codec) for codec in codecs]
    return [str(codec.payload_type) for codec in (*codecs, *(repair for repair in repairs if repair))]


def _direction(received: ReceivedSection | None, sent: SentSection | None) -> Direction:
    if received and sent:
        return "sendrecv"
    return "recvonly" if received else "sendonly" if sent else "inactive"


def _received(section: Section, kind: Kind, plan: SectionPlan) -> ReceivedSection | None:
    codec = receivable(section, plan.video)
    if codec is None:
        return None
    repair = repair_of(section, codec)
    rids = section.rids[:MAX_LAYERS] if kind == "video" else ()
    return ReceivedSection(
        mid=section.mid,
        kind=kind,
        codecs=(with_policy(codec, plan.audio) if kind == "audio" else codec,),
        rtx={repair.payload_type: codec.payload_type} if repair else {},
        extensions=extensions.agreed(kind, section.extensions),
        rids=_lowest_first(rids),
        ssrcs=() if rids else section.ssrcs,
        rtx_ssrcs=dict(section.rtx_ssrcs) if repair and not rids else {},
    )


def _sent(section: Section, kind: Kind, track: SentTrack) -> SentSection | None:
    codec = sendable(section, track.codec)
    if codec is None:
        return None
    return SentSection(
        mid=section.mid,
        kind=kind,
        codec=codec,
        rtx=repair_of(section, codec) if track.rtx_ssrc is not None else None,
        extensions=extensions.agreed(kind, section.extensions, only_sent=True),
    )


def _lowest_first(rids: tuple[str, ...]) -> tuple[str, ...]:
    """Clients call them q, h and f, and write them in either order."""
    return tuple(sorted(rids, key="qhf".index)) if set(rids) <= {"q", "h", "f"} else rids


def _how_to_send(section: Section, received: ReceivedSection, plan: SectionPlan) -> list[str]:
    """Layers in the order of the offer, as RFC 8853 section 5.3.2 has it."""
    if received.kind == "audio":
        return [f"a=ptime:{plan.audio.frame_ms}", f"a=maxptime:{max(60, plan.audio.frame_ms)}"]
    if not received.rids:
        return []
    layers = [rid for rid in section.rids if rid in received.rids]
    return [*(f"a=rid:{rid} recv" for rid in layers), f"a=simulcast:recv {';'.join(layers)}"]

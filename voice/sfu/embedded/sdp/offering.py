"""Protocol v0: the subscriber's connection, where we offer and the client answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from voice.sfu.embedded.contracts import Codec, Kind, SentSection
from voice.sfu.embedded.sdp import extensions, writing
from voice.sfu.embedded.sdp.codecs import offered_form, repair_of, sendable
from voice.sfu.embedded.sdp.description import Description, SdpError, Section
from voice.sfu.embedded.sdp.plan import LocalDescription, Offer, SentTrack

DATA_MID = "0"
_PROTOCOL = "UDP/TLS/RTP/SAVPF"


@dataclass(slots=True)
class _Slot:
    """One media section; it outlives its track, for sections of a session are never taken away (RFC 3264 section 8)."""

    mid: str
    form: Codec
    kind: Kind
    track: SentTrack | None
    settled: bool = False
    """The client answered since its track ended; before that he would take another track here for the same one."""
    refused: bool = False


@dataclass(slots=True)
class SubscriberSections:
    """All sections of one subscriber's connection; one offer is under way at a time."""

    _slots: list[_Slot] = field(default_factory=list)

    def offer(self, local: LocalDescription, tracks: Sequence[SentTrack]) -> Offer:
        """Offer exactly these tracks. Sections of others fall silent, and serve new tracks from the next offer on."""
        self._end_all_but({track.track_sid for track in tracks})
        here = {slot.track.track_sid for slot in self._slots if slot.track}
        for track in tracks:
            if track.track_sid not in here:
                self._place(track)
        carried = {slot.mid: slot.track.track_sid for slot in self._slots if slot.track and not slot.refused}
        return Offer(self._text(local), carried)

    def apply(self, answer: Description) -> Mapping[str, SentSection]:
        """By mid: the sections of the last offer the client receives. Raises SdpError where it is no answer to it."""
        if answer.setup not in ("active", ""):
            raise SdpError("We offered to be DTLS server: answer a=setup:active.")
        self._check_order(answer)
        sent = {}
        for slot, section in zip(self._slots, answer.sections[1:], strict=True):
            agreed = self._settle(slot, section)
            if agreed is not None:
                sent[slot.mid] = agreed
        return sent

    def _check_order(self, answer: Description) -> None:
        """RFC 3264 section 6: an answer has the sections of its offer, in the same order."""
        offered = [DATA_MID, *(slot.mid for slot in self._slots)]
        answered = [section.mid for section in answer.sections]
        if len(answered) != len(offered) or any(
            mid != ours and not section.is_rejected
            for ours, mid, section in zip(offered, answered, answer.sections, strict=True)
        ):
            raise SdpError("An answer has the sections of its offer, in the same order.")

    # --- slots -------------------------------------------------------------------------------------------------

    def _end_all_but(self, wanted: set[str]) -> None:
        for slot in self._slots:
            if slot.track and slot.track.track_sid not in wanted:
                slot.track, slot.settled = None, False

    def _place(self, track: SentTrack) -> None:
        form = offered_form(track.codec)
        kind: Kind = "audio" if form.name == "opus" else "video"
        for slot in self._slots:
            if slot.track is None and slot.settled and slot.kind == kind and not slot.refused:
                slot.track, slot.form = track, form
                return
        self._slots.append(_Slot(str(len(self._slots) + 1), form, kind, track))

    def _settle(self, slot: _Slot, section: Section) -> SentSection | None:
        if section.is_rejected:
            slot.refused = True
            return None
        if slot.track is None:
            slot.settled = True
            return None
        codec = sendable(section, slot.form)
        if codec is None or not section.receives:
            return None
        ours = extensions.OURS[slot.kind]
        return SentSection(
            mid=slot.mid,
            kind=slot.kind,
            codec=codec,
            rtx=repair_of(section, codec) if slot.track.rtx_ssrc is not None else None,
            extensions={uri: number for uri, number in section.extensions.items() if ours.get(uri) == number},
        )

    # --- text --------------------------------------------------------------------------------------------------

    def _text(self, local: LocalDescription) -> str:
        lines = writing.session(local, [DATA_MID, *(slot.mid for slot in self._slots if not slot.refused)])
        lines += writing.data_section(DATA_MID, "UDP/DTLS/SCTP")
        lines += writing.transport(local, "actpass", with_candidates=True)
        for slot in self._slots:
            lines += _section_lines(slot)
            if not slot.refused:
                lines += writing.transport(local, "actpass", with_candidates=False)
        return writing.text(lines)


def _section_lines(slot: _Slot) -> list[str]:
    repair = _repair(slot)
    formats = f"{slot.form.payload_type} {repair.payload_type}" if repair else str(slot.form.payload_type)
    lines = [
        f"m={slot.kind} {0 if slot.refused else 9} {_PROTOCOL} {formats}",
        writing.NO_ADDRESS,
        f"a=mid:{slot.mid}",
        f"a={'sendonly' if slot.track and not slot.refused else 'inactive'}",
        "a=rtcp-mux",
        "a=rtcp-rsize",
        *writing.codec(slot.form, repair),
        *writing.extensions(extensions.OURS[slot.kind]),
    ]
    if slot.track and not slot.refused:
        lines += writing.stream(slot.track, repaired=repair is not None)
    return lines


def _repair(slot: _Slot) -> Codec | None:
    if slot.kind == "audio":
        return None
    number = slot.form.payload_type + 1
    return replace(slot.form, payload_type=number, name="rtx", parameters=f"apt={slot.form.payload_type}", feedback=())

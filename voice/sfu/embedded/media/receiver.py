"""The direction from one client to us: whose packets are whose, what is missing, and reports to the publisher."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from voice.sfu.embedded.allowance import Allowance
from voice.sfu.embedded.contracts import (
    AUDIO_LEVEL,
    MID,
    REPAIRED_RID,
    RID,
    TRANSPORT_CC,
    Codec,
    MediaTransport,
    ReceivedSection,
)
from voice.sfu.embedded.media import rtcp
from voice.sfu.embedded.media.incoming import MediaStream, RepairStream, new_stream
from voice.sfu.embedded.media.measures import Link, Quality
from voice.sfu.embedded.media.received_bandwidth import ReceivedBandwidth
from voice.sfu.embedded.media.rtp import HEADER, extension_values, plausible, read_header
from voice.sfu.embedded.media.sender import PublishedTrack
from voice.sfu.embedded.media.transport_cc import Arrivals

if TYPE_CHECKING:
    from voice.sfu.embedded.media.room import MediaRoom

MAX_STREAMS = 256
"""SSRCs of one transport."""
MAX_LAYERS = 3
REPLACE_NS = 200_000_000
"""Another SSRC takes the place of one that was silent for so long, not of one that talks."""
REPORT_NS = 1_000_000_000
ARRIVALS_NS = 80_000_000
ASSUMED_RTT_MS = 70.0
"""While none was measured."""


@dataclass(slots=True, eq=False, repr=False)
class _Place:
    """One section and the track it carries."""

    section: ReceivedSection
    track: PublishedTrack
    streams: dict[int, MediaStream] = field(default_factory=dict)
    """By layer."""

    @property
    def codecs(self) -> dict[int, Codec]:
        return {codec.payload_type: codec for codec in self.section.codecs}


@dataclass(slots=True, eq=False, repr=False)
class Receiver:
    """One for each transport a client publishes on. An SSRC means something only here."""

    room: MediaRoom
    transport: MediaTransport
    bad_packets: int = 0
    _rtcp_bytes: Allowance = field(default_factory=lambda: Allowance(rtcp.MAX_BYTES_PER_SECOND))
    _link: Link = field(init=False)
    _places: dict[str, _Place] = field(default_factory=dict)
    """By mid."""
    _streams: dict[int, MediaStream | RepairStream] = field(default_factory=dict)
    _arrivals: Arrivals = field(default_factory=Arrivals)
    _bandwidth: ReceivedBandwidth = field(default_factory=ReceivedBandwidth)
    _extensions: dict[str, int] = field(default_factory=dict)
    _level_id: int = 0
    _sequence_id: int = 0
    _feedback: str = ""
    _arrival_pending: bool = False
    _told_arrivals_ns: int = 0
    _reported_ns: int = 0
    _loss: float = 0.0
    _jitter_ms: float = 0.0

    def __post_init__(self) -> None:
        self._link = self.room.add_receiver(self)

    # --- what was negotiated -------------------------------------------------------------------------------------

    def update(self, sections: Sequence[tuple[ReceivedSection, PublishedTrack]]) -> None:
        """All sections the client sends in now; those left out have ended."""
        places = {section.mid: (section, track) for section, track in sections}
        for mid, place in list(self._places.items()):
            if mid not in places or places[mid][1] is not place.track:
                self._drop(self._places.pop(mid))
        for mid, (section, track) in places.items():
            self._put(mid, section, track)
        self._agree(section for section, _ in sections)

    def _put(self, mid: str, section: ReceivedSection, track: PublishedTrack) -> None:
        place = self._places.get(mid)
        if place is None:
            place = self._places[mid] = _Place(section, track)
        place.section = section
        for stream in place.streams.values():
            stream.codecs = place.codecs
            self._renegotiate_repair(stream, section)
        for ssrc in section.ssrcs[: 0 if section.rids else 1]:  # RIDs say which of several is which
            self._declare(place, ssrc)
        for ssrc, repaired in list(section.rtx_ssrcs.items())[: 2 * MAX_LAYERS]:
            media = self._streams.get(repaired)
            if isinstance(media, MediaStream):
                self._repair(place, ssrc, media)

    def _renegotiate_repair(self, stream: MediaStream, section: ReceivedSection) -> None:
        for repair in self._streams.values():
            if isinstance(repair, RepairStream) and repair.repaired is stream:
                repair.payload_types = dict(section.rtx)

    def _agree(self, sections: Iterable[ReceivedSection]) -> None:
        """Ids of extensions are the same in all sections of a bundle (RFC 8843, 9.2); so is the kind of feedback."""
        kinds: set[str] = set()
        self._extensions = {}
        for section in sections:
            self._extensions.update(section.extensions)
            kinds.update(kind for codec in section.codecs for kind in codec.feedback)
        self._level_id = self._extensions.get(AUDIO_LEVEL, 0)
        self._sequence_id = self._extensions.get(TRANSPORT_CC, 0) if "transport-cc" in kinds else 0
        self._feedback = "transport-cc" if self._sequence_id else "goog-remb" if "goog-remb" in kinds else ""

    def _declare(self, place: _Place, ssrc: int) -> None:
        if ssrc not in self._streams:
            self._place_stream(place, ssrc, 0)

    def _place_stream(self, place: _Place, ssrc: int, quality: int) -> MediaStream | None:
        if len(self._streams) >= MAX_STREAMS:
            return None
        before = place.streams.get(quality)
        if before is not None:
            self._remove(place, before)
        room = self.room
        stream = new_stream(
            place.track, self.transport, room.own_ssrc, ssrc, quality, place.codecs, lambda: room.audio_bitrate
        )
        self._streams[ssrc] = place.streams[quality] = stream
        return stream

    def _repair(self, place: _Place, ssrc: int, repaired: MediaStream) -> RepairStream | None:
        if ssrc in self._streams or len(self._streams) >= MAX_STREAMS:
            return None
        for other, stream in list(self._streams.items()):  # a stream has one for its repetitions
            if isinstance(stream, RepairStream) and stream.repaired is repaired:
                del self._streams[other]
        stream = self._streams[ssrc] = RepairStream(repaired, dict(place.section.rtx))
        return stream

    def _remove(self, place: _Place, stream: MediaStream) -> None:
        stream.closed = True
        place.streams.pop(stream.quality, None)
        gone = [
            ssrc
            for ssrc, other in self._streams.items()
            if other is stream or (isinstance(other, RepairStream) and other.repaired is stream)
        ]
        for ssrc in gone:
            del self._streams[ssrc]

    def _drop(self, place: _Place) -> None:
        for stream in list(place.streams.values()):
            self._remove(place, stream)

    def close(self) -> None:
        for place in self._places.values():
            self._drop(place)
        self._places.clear()
        self.room.remove_receiver(self)

    # --- RTP -----------------------------------------------------------------------------------------------------

    def rtp(self, packet: bytes) -> None:
        if not plausible(packet):
            self.bad_packets += 1
            return
        _, second, sequence, timestamp, ssrc = HEADER.unpack_from(packet)
        start, level, transport_sequence = read_header(packet, self._level_id, self._sequence_id)
        if start < 0:
            self.bad_packets += 1
            return
        now_ns = self.room.now_ns()
        if transport_sequence >= 0:
            self._arrivals.arrived(transport_sequence, now_ns)
            self._arrival_pending = True
        stream = self._streams.get(ssrc) or self._learn(packet, second & 0x7F, ssrc, now_ns)
        if stream is not None:
            stream.accept(packet, start, second, sequence, timestamp, level, now_ns)

    def _learn(self, packet: bytes, payload_type: int, ssrc: int, now_ns: int) -> MediaStream | RepairStream | None:
        """An SSRC that was not declared says in its extensions where it belongs (RFC 8852, RFC 9143)."""
        if not self._places:
            return None
        values = extension_values(packet)
        place = self._places.get(_text(values, self._extensions.get(MID, 0))) or self._only_place(payload_type)
        if place is None:
            return None
        repaired = _text(values, self._extensions.get(REPAIRED_RID, 0))
        if repaired or payload_type in place.section.rtx:
            stream = place.streams.get(self._layer(place, repaired))
            return self._repair(place, ssrc, stream) if stream is not None else None
        quality = self._layer(place, _text(values, self._extensions.get(RID, 0)))
        before = place.streams.get(quality)
        if quality < 0 or (before is not None and now_ns - before.heard_ns < REPLACE_NS):
            return None
        return self._place_stream(place, ssrc, quality)

    def _only_place(self, payload_type: int) -> _Place | None:
        """The one section with this payload type, where there is only one and its SSRC was not declared."""
        fitting = [
            place
            for place in self._places.values()
            if not place.section.rids and (payload_type in place.codecs or payload_type in place.section.rtx)
        ]
        return fitting[0] if len(fitting) == 1 else None

    def _layer(self, place: _Place, rid: str) -> int:
        """Which layer a RID is; -1 for one that was not negotiated."""
        rids = place.section.rids[:MAX_LAYERS]
        if not rids:
            return 0
        return rids.index(rid) if rid in rids else -1

    # --- RTCP ----------------------------------------------------------------------------------------------------

    def rtcp(self, compound: bytes) -> None:
        """A compound of the client; what is not about its own streams is left alone."""
        now_ns = self.room.now_ns()
        if not self._rtcp_bytes.take(now_ns, len(compound)):
            return
        for kind, count, body in rtcp.packets(compound):
            if kind == rtcp.SENDER_REPORT:
                self._sender_reported(body, now_ns)
            elif kind == rtcp.GOODBYE:
                for ssrc in rtcp.goodbyes(count, body):
                    self._goodbye(ssrc)

    def _sender_reported(self, body: bytes, now_ns: int) -> None:
        report = rtcp.sender_report(body)
        stream = self._streams.get(report.ssrc) if report else None
        if report is not None and isinstance(stream, MediaStream):
            stream.reported(report, now_ns)

    def _goodbye(self, ssrc: int) -> None:
        """The source ended; another may take its place at once. A declared one may come back (a muted sender does)."""
        stream = self._streams.get(ssrc)
        if isinstance(stream, MediaStream):
            stream.heard_ns = 0

    def tick(self, now_ns: int) -> None:
        """Every 20 ms."""
        for place in self._places.values():
            for stream in place.streams.values():
                if stream.reception.holes:
                    stream.ask_again(now_ns, self._link.rtt_ms or ASSUMED_RTT_MS)
        if self._arrival_pending and now_ns - self._told_arrivals_ns >= ARRIVALS_NS:
            self._tell_arrivals(now_ns)
        if now_ns - self._reported_ns >= REPORT_NS:
            self._reported_ns = now_ns
            self._report(now_ns)

    def _media(self) -> list[MediaStream]:
        return [stream for place in self._places.values() for stream in place.streams.values()]

    def _tell_arrivals(self, now_ns: int) -> None:
        self._told_arrivals_ns = now_ns
        self._arrival_pending = False
        media = next((stream.ssrc for stream in self._media()), 0)
        for packet in self._arrivals.feedback(self.room.own_ssrc, media, now_ns):
            self.transport.send_rtcp(packet)

    def _report(self, now_ns: int) -> None:
        """Receiver reports once a second, and REMB where nothing better was agreed on."""
        streams = self._media()
        reports = [report for stream in streams if (report := stream.report_block(now_ns)) is not None]
        if not reports:
            return
        blocks = [block for block, _ in reports]
        self._loss = sum(loss for _, loss in reports) / len(reports)
        self._jitter_ms = max((stream.reception.jitter_ms for stream in streams), default=0.0)
        description = rtcp.write_source_description(self.room.own_ssrc, self.room.cname)
        for written in rtcp.write_receiver_reports(self.room.own_ssrc, blocks):
            self.transport.send_rtcp(written + description)
        if self._feedback == "goog-remb":
            received = sum(stream.track.stats.bytes_in for stream in streams)
            bps = self._bandwidth.estimate(self._loss, received, now_ns)
            ssrcs = [stream.ssrc for stream in streams]
            self.transport.send_rtcp(rtcp.write_remb(self.room.own_ssrc, bps, ssrcs))

    def quality(self) -> Quality:
        """How well the client's packets arrive."""
        return Quality(self._loss, self._link.rtt_ms, self._jitter_ms)


def _text(values: dict[int, bytes], identifier: int) -> str:
    return values.get(identifier, b"").decode("ascii", "replace") if identifier else ""

"""People who send and receive packets without a network: what they send is written here, what they get is kept."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from voice.sfu.backend import Source
from voice.sfu.embedded.contracts import (
    AUDIO_LEVEL,
    MID,
    REPAIRED_RID,
    RID,
    TRANSPORT_CC,
    Codec,
    ReceivedSection,
    SentSection,
)
from voice.sfu.embedded.media import MediaRoom, PublishedTrack, Receiver, Sender, Subscription, rtcp
from voice.sfu.embedded.media.rtp import extension_values

OPUS = Codec(111, "opus", 48_000, 2, feedback=("nack", "transport-cc"))
VP8 = Codec(96, "VP8", 90_000, feedback=("nack", "nack pli", "ccm fir", "transport-cc"))
VP8_RTX = Codec(97, "rtx", 90_000, parameters="apt=96")
H264 = Codec(102, "H264", 90_000, feedback=("nack", "nack pli"))
EXTENSIONS = {MID: 4, RID: 5, REPAIRED_RID: 6, AUDIO_LEVEL: 1, TRANSPORT_CC: 3}
FRAME_MS = 20
LOUD, SOFT, SILENT = 20, 45, 127


@dataclass(slots=True)
class StillClock:
    ns: int = 1_000_000_000_000

    def __call__(self) -> int:
        return self.ns

    def advance(self, ms: float) -> None:
        self.ns += int(ms * 1_000_000)


@dataclass(slots=True)
class Received:
    """An RTP packet as a client gets it."""

    payload_type: int
    marker: bool
    sequence: int
    timestamp: int
    ssrc: int
    payload: bytes
    extensions: Mapping[int, bytes]


def read(packet: bytes) -> Received:
    first, second, sequence, timestamp, ssrc = struct.unpack_from(">BBHII", packet)
    assert first >> 6 == 2
    assert not first & 0x0F
    start = 12
    if first & 0x10:
        start += 4 + 4 * int.from_bytes(packet[14:16])
    return Received(
        second & 0x7F, bool(second & 0x80), sequence, timestamp, ssrc, packet[start:], extension_values(packet)
    )


@dataclass(slots=True, eq=False, repr=False)
class RecordingTransport:
    """Stands in for contracts.MediaTransport: keeps what it is given."""

    ufrag: str = "ufrag"
    password: str = "password"
    rtp: list[bytes] = field(default_factory=list)
    rtcp: list[bytes] = field(default_factory=list)
    connected: bool = True
    silent_ms: int = 0
    protocol: str = "udp"

    def send_rtp(self, packet: bytes, second_byte: int) -> None:
        assert len(packet) >= 12
        self.rtp.append(packet[:1] + bytes((second_byte,)) + packet[2:])

    def send_rtcp(self, packet: bytes) -> None:
        assert not len(packet) % 4
        self.rtcp.append(packet)

    def heard(self) -> list[Received]:
        """All packets since the last call."""
        packets = [read(packet) for packet in self.rtp]
        self.rtp.clear()
        return packets

    def told(self, kind: int, form: int | None = None) -> list[bytes]:
        """Bodies of the RTCP packets of one type (and format) since the beginning."""
        return [
            body
            for compound in self.rtcp
            for found, count, body in rtcp.packets(compound)
            if found == kind and form in (None, count)
        ]

    def asked_again(self) -> list[int]:
        """Sequence numbers in NACKs."""
        return [number for body in self.told(rtcp.TRANSPORT_FEEDBACK, rtcp.NACK) for number in rtcp.nacked(body)]


def write(
    payload_type: int,
    sequence: int,
    timestamp: int,
    ssrc: int,
    payload: bytes,
    *,
    marker: bool = False,
    extensions: Mapping[int, bytes] | None = None,
    padding: int = 0,
) -> bytes:
    """A packet of a client, with one-byte extensions."""
    first = 0x80 | (0x10 if extensions else 0) | (0x20 if padding else 0)
    head = struct.pack(
        ">BBHII", first, (0x80 if marker else 0) | payload_type, sequence & 0xFFFF, timestamp & 0xFFFFFFFF, ssrc
    )
    block = b""
    if extensions:
        for identifier, value in extensions.items():
            block += bytes((identifier << 4 | len(value) - 1,)) + value
        block += bytes(-len(block) % 4)
        block = struct.pack(">HH", 0xBEDE, len(block) // 4) + block
    tail = bytes(padding - 1) + bytes((padding,)) if padding else b""
    return head + block + payload + tail


@dataclass(slots=True)
class Speaker:
    """Publishes a microphone."""

    room: MediaRoom
    name: str
    ssrc: int = 1001
    sequence: int = 100
    timestamp: int = 5000
    source: Source = "microphone"
    priority: bool = False
    transport: RecordingTransport = field(default_factory=RecordingTransport)
    receiver: Receiver = field(init=False)
    track: PublishedTrack = field(init=False)

    def __post_init__(self) -> None:
        self.track = self.room.publish(
            f"TR_{self.name}", f"PA_{self.name}", "audio", self.source, priority=self.priority
        )
        self.join()

    def join(self) -> None:
        self.receiver = Receiver(self.room, self.transport)
        self.receiver.update([(self.section, self.track)])

    @property
    def section(self) -> ReceivedSection:
        return ReceivedSection("0", "audio", (OPUS,), extensions=EXTENSIONS, ssrcs=(self.ssrc,))

    def packet(self, level: int = LOUD) -> bytes:
        """The next one of 20 ms."""
        written = write(
            111,
            self.sequence,
            self.timestamp,
            self.ssrc,
            f"{self.name} {self.sequence & 0xFFFF}".encode(),
            extensions={1: bytes((level,))},
        )
        self.sequence += 1
        self.timestamp += 960
        return written

    def talk(self, packets: int = 1, level: int = LOUD) -> None:
        for _ in range(packets):
            self.receiver.rtp(self.packet(level))


def talk_together(
    clock: StillClock, room: MediaRoom, levels: Mapping[str, int], speakers: Mapping[str, Speaker], ms: int
) -> None:
    """Everybody sends a packet every 20 ms, at his level."""
    for _ in range(ms // FRAME_MS):
        for name, level in levels.items():
            speakers[name].talk(level=level)
        clock.advance(FRAME_MS)
        room.tick(clock.ns)


@dataclass(slots=True)
class Listener:
    room: MediaRoom
    transport: RecordingTransport = field(default_factory=RecordingTransport)
    payload_type: int = 109
    sender: Sender = field(init=False)

    def __post_init__(self) -> None:
        self.sender = Sender(self.room, self.transport)

    def listen_to(self, track: PublishedTrack) -> Subscription:
        codec = Codec(self.payload_type, "opus", 48_000, 2, feedback=("nack",))
        return self.sender.subscribe(track, SentSection(f"s{track.sid}", "audio", codec))

    def watch(
        self,
        track: PublishedTrack,
        *,
        rtx: bool = True,
        codec: Codec = VP8,
        extensions: Mapping[str, int] | None = None,
    ) -> Subscription:
        repair = VP8_RTX if rtx else None
        return self.sender.subscribe(track, SentSection(f"s{track.sid}", "video", codec, repair, extensions or {}))

    def miss(self, track: PublishedTrack, numbers: Iterable[int]) -> None:
        self.sender.rtcp(rtcp.write_nack(1, track.ssrc, numbers))

    def report(self, track: PublishedTrack, *, lost: float = 0.0, last_sr: int = 0, delay: int = 0) -> None:
        block = rtcp.ReportBlock(track.ssrc, int(lost * 256), 0, 0, 480, last_sr, delay)
        for compound in rtcp.write_receiver_reports(1, [block]):
            self.sender.rtcp(compound)


@dataclass(slots=True)
class Layer:
    """One simulcast layer of a camera."""

    rid: str
    ssrc: int
    sequence: int
    timestamp: int
    picture: int
    level_zero: int
    rtx_ssrc: int = 0
    rtx_sequence: int = 0


@dataclass(slots=True)
class Camera:
    """Publishes VP8 in one or three layers, or H.264 in one."""

    room: MediaRoom
    clock: StillClock
    name: str = "alice"
    rids: Sequence[str] = ("q", "h", "f")
    source: Source = "camera"
    codecs: tuple[Codec, ...] = (VP8,)
    transport: RecordingTransport = field(default_factory=RecordingTransport)
    layers: dict[str, Layer] = field(default_factory=dict)
    receiver: Receiver = field(init=False)
    track: PublishedTrack = field(init=False)

    def __post_init__(self) -> None:
        self.track = self.room.publish(f"TR_cam_{self.name}", f"PA_{self.name}", "video", self.source)
        for place, rid in enumerate(self.rids or ("",)):
            start = 1000 * (place + 1)
            self.layers[rid] = Layer(
                rid, 7000 + place, start, 90_000 * (place + 1) * 7, start, place * 50, 8000 + place
            )
        self.receiver = Receiver(self.room, self.transport)
        self.receiver.update([(self.section, self.track)])

    @property
    def section(self) -> ReceivedSection:
        ssrcs = () if self.rids else (7000,)
        rtx_ssrcs = {} if self.rids else {8000: 7000}
        return ReceivedSection("1", "video", self.codecs, {97: 96}, EXTENSIONS, tuple(self.rids), ssrcs, rtx_ssrcs)

    def packets(
        self, rid: str = "", *, key: bool = False, count: int = 2, size: int = 100, narrow: bool = False
    ) -> list[bytes]:
        """One frame of one layer."""
        layer = self.layers[rid]
        written = []
        if key:
            layer.level_zero += 1
        for index in range(count):
            payload = vp8_payload(layer.picture, layer.level_zero, first=index == 0, key=key, size=size, narrow=narrow)
            written.append(self._write(layer, payload, marker=index == count - 1))
            layer.sequence += 1
        layer.timestamp += 3000
        layer.picture += 1
        return written

    def _write(self, layer: Layer, payload: bytes, *, marker: bool) -> bytes:
        extensions = {4: b"1"}
        if layer.rid:
            extensions[5] = layer.rid.encode()
        return write(96, layer.sequence, layer.timestamp, layer.ssrc, payload, marker=marker, extensions=extensions)

    def film(self, rid: str = "", *, key: bool = False, count: int = 2, size: int = 100) -> None:
        for packet in self.packets(rid, key=key, count=count, size=size):
            self.receiver.rtp(packet)

    def film_all(self, frames: int = 1, *, key: bool = False, sizes: Mapping[str, int] | None = None) -> None:
        """All layers, at 30 frames a second."""
        for _ in range(frames):
            for rid in self.layers:
                self.film(rid, key=key, size=(sizes or {}).get(rid, 100))
            self.clock.advance(33)
            self.room.tick(self.clock.ns)

    def probe(self, rid: str = "") -> None:
        """A packet of padding only."""
        layer = self.layers[rid]
        self.receiver.rtp(write(96, layer.sequence, layer.timestamp, layer.ssrc, b"", padding=200))
        layer.sequence += 1

    def repeat(self, rid: str, original: bytes) -> None:
        """By RTX (RFC 4588), which names the layer with a repaired RID."""
        layer = self.layers[rid]
        start = 12 + 4 + 4 * int.from_bytes(original[14:16])
        extensions = {4: b"1"} | ({6: rid.encode()} if rid else {})
        self.receiver.rtp(
            write(
                97,
                layer.rtx_sequence,
                int.from_bytes(original[4:8]),
                layer.rtx_ssrc,
                original[2:4] + original[start:],
                marker=bool(original[1] & 0x80),
                extensions=extensions,
            )
        )
        layer.rtx_sequence += 1

    def report(self, rid: str, ntp_seconds: float, timestamp: int) -> None:
        layer = self.layers[rid]
        report = rtcp.SenderReport(layer.ssrc, int(ntp_seconds * (1 << 32)), timestamp, 0, 0)
        self.receiver.rtcp(rtcp.write_sender_report(report))

    def key_frames_asked(self) -> list[int]:
        """SSRCs named in PLIs."""
        return [rtcp.media_ssrc(body) for body in self.transport.told(rtcp.PAYLOAD_FEEDBACK, rtcp.PLI)]


def vp8_payload(
    picture: int, level_zero: int, *, first: bool, key: bool, size: int = 100, narrow: bool = False
) -> bytes:
    """A payload descriptor with picture id, TL0PICIDX and TID, and a frame of which the first byte says what it is."""
    identifier = bytes((picture & 0x7F,)) if narrow else struct.pack(">H", 0x8000 | picture & 0x7FFF)
    descriptor = bytes((0x90 if first else 0x80, 0xE0)) + identifier + bytes((level_zero & 0xFF, 0x00))
    return descriptor + bytes((0x00 if key else 0x01,)) + bytes(size)


def pictures(packets: Sequence[Received]) -> list[int]:
    return [int.from_bytes(packet.payload[2:4]) & 0x7FFF for packet in packets]


def levels_zero(packets: Sequence[Received]) -> list[int]:
    return [packet.payload[4] for packet in packets]


def is_continuous(packets: Sequence[Received]) -> bool:
    """No hole and no repetition in the sequence numbers."""
    return all((later.sequence - earlier.sequence) & 0xFFFF == 1 for earlier, later in pairwise(packets))

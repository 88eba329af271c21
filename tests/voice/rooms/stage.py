"""A RoomServer without a network: transports, WebSockets and the clock are recorded or moved by the test."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from livekit.protocol import models, rtc

from voice.sfu.backend import Grant, RoomOptions, SfuEvent
from voice.sfu.embedded.contracts import Candidate, TransportObserver
from voice.sfu.embedded.rooms.clock import Clock
from voice.sfu.embedded.rooms.intent import JoinIntent
from voice.sfu.embedded.rooms.limits import RoomLimits
from voice.sfu.embedded.rooms.server import RoomServer
from voice.sfu.embedded.rooms.session import Session
from voice.tokens import mint

KEY, SECRET = "key", "a secret of the homeserver and its workers"
ROOM = "kitchen"
LIMITS = replace(RoomLimits(), update_delay=0, slow_update_delay=0, negotiation_delay=0, negotiation_gap=0)
FINGERPRINT = ":".join(["AB"] * 32)


@dataclass(slots=True)
class Time:
    ms: int = 1_700_000_000_000

    def clock(self) -> Clock:
        return Clock(lambda: self.ms, lambda: self.ms * 1_000_000)

    def advance(self, ms: int) -> None:
        self.ms += ms


@dataclass(slots=True, eq=False)
class RecordedTransport:
    observer: TransportObserver
    time: Time
    ufrag: str
    password: str = "a password of this very transport"
    connected: bool = False
    heard_at: int = 0
    restarts: int = 0
    closed: bool = False
    protocol: str = "udp"
    rtp: list[bytes] = field(default_factory=list)
    data: list[tuple[str, bytes]] = field(default_factory=list)
    channels: list[str] = field(default_factory=list)
    expected: str = ""

    @property
    def silent_ms(self) -> int:
        return self.time.ms - self.heard_at

    def expect(self, fingerprint_algorithm: str, fingerprint: str) -> None:
        self.expected = f"{fingerprint_algorithm} {fingerprint}"

    def restart_ice(self) -> None:
        self.restarts += 1
        self.ufrag += "r"

    def send_rtp(self, packet: bytes, second_byte: int) -> None:
        self.rtp.append(packet)

    def send_rtcp(self, packet: bytes) -> None:
        pass

    def open_channel(self, label: str, *, reliable: bool) -> None:
        self.channels.append(label)

    def send_data(self, label: str, payload: bytes) -> bool:
        self.data.append((label, payload))
        return True

    def close(self) -> None:
        self.closed = True


@dataclass(slots=True)
class RecordedPort:
    time: Time
    fingerprint: str = FINGERPRINT
    candidates: Sequence[Candidate] = (Candidate("192.0.2.1", 10000, "udp", 2130706431),)
    transports: list[RecordedTransport] = field(default_factory=list)

    def new_transport(self, observer: TransportObserver) -> RecordedTransport:
        transport = RecordedTransport(observer, self.time, f"ours{len(self.transports)}", heard_at=self.time.ms)
        self.transports.append(transport)
        return transport

    def flush(self) -> None:
        pass

    def close(self) -> None:
        pass


@dataclass(slots=True, eq=False)
class RecordedSignal:
    messages: list[Any] = field(default_factory=list)
    closed: bool = False

    def send(self, **message: Any) -> None:
        self.messages.append(rtc.SignalResponse(**message))

    def send_packed(self, packed: bytes) -> None:
        self.messages.append(rtc.SignalResponse.FromString(packed))

    def close(self) -> None:
        self.closed = True

    def all(self, kind: str) -> list[Any]:
        return [getattr(message, kind) for message in self.messages if message.WhichOneof("message") == kind]

    def last(self, kind: str) -> Any:
        return self.all(kind)[-1]


@dataclass(slots=True)
class Person:
    """One client."""

    session: Session
    signal: RecordedSignal
    transports: list[RecordedTransport]
    sections: list[str] = field(default_factory=list)
    restarts: int = 0

    @property
    def sid(self) -> str:
        return self.session.participant.sid

    @property
    def tracks(self) -> list[str]:
        return list(self.session.participant.publications.live)

    def asks(self, **request: Any) -> None:
        self.session.handle(rtc.SignalRequest(**request))

    def media(self) -> None:
        """A packet of his arrives."""
        for transport in self.transports:
            transport.heard_at = transport.time.ms

    def connects(self) -> None:
        for transport in self.transports:
            transport.connected = True
            transport.observer.transport_connected()

    def listens(self, audio: int = 0, video: int = 0) -> None:
        """Sections to receive in, without an offer yet."""
        self.sections += [_section("audio", len(self.sections) + number, "recvonly") for number in range(audio)]
        self.sections += [_section("video", len(self.sections) + number, "recvonly") for number in range(video)]

    def offers(self) -> Any:
        """His answer from us."""
        self.asks(offer=rtc.SessionDescription(type="offer", sdp=self.sdp(), id=7))
        return self.signal.last("answer")

    def sdp(self) -> str:
        mids = " ".join(str(number) for number in range(len(self.sections)))
        head = (
            f"v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE {mids}\r\n"
            f"a=ice-ufrag:theirs{self.restarts}\r\na=ice-pwd:{'p' * 24}\r\n"
            f"a=fingerprint:sha-256 {FINGERPRINT}\r\na=setup:actpass\r\n"
        )
        return head + "".join(self.sections)

    def publishes(self, kind: str = "audio", source: int = models.MICROPHONE, cid: str = "", **more: Any) -> str:
        """Announces and offers; the track's sid, or nothing where it was refused."""
        cid = cid or f"{kind}{len(self.sections)}"
        proto_kind = models.AUDIO if kind == "audio" else models.VIDEO
        self.asks(add_track=rtc.AddTrackRequest(cid=cid, type=proto_kind, source=source, **more))
        self.sections.append(_section(kind, len(self.sections), "sendonly", cid))
        self.offers()
        found = self.session.participant.publications.by_cid(cid)
        return found.sid if found else ""

    def drops(self, mid: int) -> None:
        """Stops sending in this section."""
        self.sections[mid] = self.sections[mid].replace("a=sendonly", "a=inactive")
        self.offers()

    def hears(self) -> set[str]:
        """Sids of the tracks that flow to him."""
        return {sid for sid, following in self.session.participant.followings.by_sid.items() if following.flow}


def _section(kind: str, mid: int, direction: str, track: str = "") -> str:
    codec = "opus/48000/2" if kind == "audio" else "VP8/90000"
    lines = [
        f"m={kind} 9 UDP/TLS/RTP/SAVPF 96",
        "c=IN IP4 0.0.0.0",
        f"a=mid:{mid}",
        f"a={direction}",
        "a=rtcp-mux",
        f"a=rtpmap:96 {codec}",
    ]
    if track:
        lines += [f"a=msid:stream {track}", f"a=ssrc:{1000 + mid} cname:them"]
    return "\r\n".join(lines) + "\r\n"


@dataclass(slots=True)
class Stage:
    time: Time
    port: RecordedPort
    server: RoomServer
    events: list[SfuEvent]

    def joins(
        self, identity: str, *, single: bool = True, grant: dict[str, Any] | None = None, **intent: Any
    ) -> Person:
        token = mint(KEY, SECRET, Grant(ROOM, identity, **(grant or {})), self.time.ms / 1000)
        signal, before = RecordedSignal(), len(self.port.transports)
        access = self.server.door.check(token)
        session = self.server.door.enter(
            access, JoinIntent(**{"single_peer": single, "protocol": 16, "auto_subscribe": True, **intent}), signal
        )
        assert session is not None
        return Person(session, signal, self.port.transports[before:])

    def resumes(self, person: Person, sid: str | None = None) -> RecordedSignal:
        token = mint(KEY, SECRET, Grant(ROOM, person.session.participant.identity), self.time.ms / 1000)
        intent = JoinIntent(True, 16, True, reconnect=True, participant_sid=person.sid if sid is None else sid)
        signal = RecordedSignal()
        if self.server.door.enter(self.server.door.check(token), intent, signal) is not None:
            person.signal = signal
        return signal

    def in_a_call(self, *identities: str, **options: Any) -> list[Person]:
        people = [self.joins(identity, **options) for identity in identities]
        for person in people:
            person.listens(audio=3, video=2)
            person.offers()
            person.connects()
        return people

    def seen(self, kind: type[SfuEvent]) -> list[Any]:
        return [event for event in self.events if isinstance(event, kind)]

    def passes(self, ms: int, *alive: Person) -> None:
        """Time goes by in half seconds; those who are alive ping and send."""
        for _ in range(ms // 500):
            for person in alive:
                person.media()
                person.asks(ping_req=rtc.Ping(timestamp=1))
            self.time.advance(500)
            self.server.rounds.sweep()


def set_stage(limits: RoomLimits = LIMITS, options: RoomOptions | None = None) -> Stage:
    time = Time()
    port = RecordedPort(time)
    server = RoomServer(port, {KEY: SECRET}, limits, time.clock())  # type: ignore[arg-type]
    events: list[SfuEvent] = []
    server.on_event(events.append)
    server.ensure_room(ROOM, options or RoomOptions())
    return Stage(time, port, server, events)


async def settled() -> None:
    """Everything that was put off for a moment has happened."""
    for _ in range(10):
        await asyncio.sleep(0)

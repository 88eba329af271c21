"""A participant without ears: what doctor, benchmarks and fault tests put into rooms, in hundreds if they like."""

from __future__ import annotations

import asyncio
import contextlib
import json
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

import aiohttp
from livekit.protocol import models, rtc

from voice.participant.behaviour import Behaviour
from voice.participant.connection import Connection
from voice.participant.incoming import IncomingStream
from voice.participant.listening import Listening
from voice.participant.negotiation import Negotiation
from voice.participant.offer import LocalSections
from voice.participant.outgoing import OutgoingAudio
from voice.participant.paths import Turn, path_for
from voice.participant.repair import Report, reports, requests
from voice.participant.signalling import Signalling, join_request
from voice.participant.statistics import Statistics
from voice.sfu.embedded.sdp import SdpError

Way = Literal["udp", "tcp"] | Turn


class Failed(Exception):  # noqa: N818 - it is a verdict, and reads like one
    """The SFU sent us away, or the connection did not come about."""


@dataclass(slots=True, eq=False)
class Participant:
    """`url` is that of the SFU without `/rtc`; `http` may be shared by many."""

    url: str
    token: str
    path: Way = "udp"
    behaviour: Behaviour = field(default_factory=Behaviour)
    http: aiohttp.ClientSession | None = None
    on_signal: Callable[[Any], None] | None = None
    """Told of every SignalResponse, after we dealt with it."""
    on_packet: Callable[[IncomingStream, bytes], None] | None = None
    joined: Any = None
    """The JoinResponse."""
    others: dict[str, Any] = field(default_factory=dict)
    """Identity -> ParticipantInfo, of those who are in the room."""
    speakers: dict[str, Any] = field(default_factory=dict)
    """Participant sid -> SpeakerInfo of those who talk."""
    left: Any = None
    """The LeaveRequest of the SFU, when it sent us away."""
    failure: str = ""
    closed: bool = False
    """The WebSocket was closed by the other side."""
    tracks: list[OutgoingAudio] = field(default_factory=list)
    reported: dict[int, Report] = field(default_factory=dict)
    """What the SFU says of what we send, by our SSRC."""
    _own_http: aiohttp.ClientSession | None = None
    _signals: Signalling | None = None
    _connection: Connection = field(init=False)
    _listening: Listening = field(init=False)
    _negotiation: Negotiation = field(init=False)
    _changed: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        behaviour = self.behaviour
        self._connection = Connection(
            path_for(self.path),
            on_changed=self._wake,
            on_failure=self._failed,
            on_rtp=self._rtp,
            on_rtcp=self._rtcp,
            opens_packets=behaviour.opens_packets,
            loses=behaviour.loses_received,
        )
        self._listening = Listening(
            self._connection.send_rtcp, behaviour.asks_again, behaviour.reads_stamps, self.on_packet
        )
        sections = LocalSections(self._connection.identity.fingerprint, behaviour.data_section)
        sections.receive(behaviour.audio_sections, behaviour.video_sections)
        self._negotiation = Negotiation(self._connection, sections, self._send, self._listening.expect)

    # --- verbs -------------------------------------------------------------------------------------------------

    async def connect(self, timeout: float = 10.0) -> None:
        """Join, until media can flow. Raises Refused, Failed and TimeoutError."""
        number, offer = self._negotiation.first_offer()
        await self._open_signals(offer, number)
        await self.until(lambda: self._connection.connected, timeout)

    async def publish_audio(
        self, name: str = "microphone", *, muted: bool = False, timeout: float = 10.0
    ) -> OutgoingAudio:
        """Publish a microphone; returns when packets may be sent. Raises Failed and TimeoutError."""
        track = OutgoingAudio(cid=secrets.token_hex(8))
        self.tracks.append(track)
        source = models.TrackSource.MICROPHONE
        self._send(
            add_track=rtc.AddTrackRequest(cid=track.cid, name=name, type=models.AUDIO, source=source, muted=muted)
        )
        await self.until(lambda: bool(track.sid), timeout)
        self._negotiation.publish(track)
        await self.until(lambda: track.negotiated, timeout)
        return track

    def send_packet(self, payload: bytes, *, level: int = 30, samples: int = 960, marker: bool = False) -> None:
        """One Opus packet of the track published first; `level` in -dBov (0 loudest, 127 silence)."""
        self._transmit(self.tracks[0].packet(payload, level, samples, marker=marker))

    def send_raw(self, packet: bytes) -> None:
        """An RTP packet as it is, well-formed or not; protected like any other."""
        self._connection.send_rtp(packet)

    def set_muted(self, track: OutgoingAudio, *, muted: bool) -> None:
        self._send(mute=rtc.MuteTrackRequest(sid=track.sid, muted=muted))

    def subscribe(self, *track_sids: str, wanted: bool = True) -> None:
        self._send(subscription=rtc.UpdateSubscription(track_sids=track_sids, subscribe=wanted))

    def request(self, **fields: Any) -> None:
        """Any other SignalRequest, by the name of its field."""
        self._send(**fields)

    def statistics(self) -> Statistics:
        """Counted until now."""
        return Statistics.of(self._listening, self._connection, self.tracks, self._negotiation.rounds)

    @property
    def streams(self) -> dict[int, IncomingStream]:
        """By SSRC: what came in, live."""
        return self._listening.streams

    @property
    def connected(self) -> bool:
        return self._connection.connected

    @property
    def reachable(self) -> bool:
        """A path to the SFU is nominated; not so for a moment after `change_network`."""
        return self._connection.nominated

    @property
    def name_in_checks(self) -> str:
        """Our ufrag, for who makes connectivity checks of his own on our behalf."""
        return self._connection.ours.ufrag

    async def until(self, condition: Callable[[], bool], timeout: float = 5.0) -> None:
        """Wait for something that a message or a change of the connection brings. Raises Failed, TimeoutError."""
        async with asyncio.timeout(timeout):
            while not condition():
                if self.failure:
                    raise Failed(self.failure)
                self._changed.clear()
                await self._changed.wait()

    async def close(self) -> None:
        """Say goodbye and go."""
        self._send(leave=rtc.LeaveRequest(reason=models.CLIENT_INITIATED))
        self._listening.close()
        self._connection.close()
        if self._signals is not None:
            await self._signals.flush()
        await self.release()

    # --- what goes wrong in networks ---------------------------------------------------------------------------

    async def vanish(self) -> None:
        """Gone without a word: neither leave nor close, and no packet any more."""
        self._listening.close()
        self._connection.close(silently=True)
        if self._signals is not None:
            self._signals.freeze()

    async def release(self) -> None:
        """Give back what a vanished one still holds."""
        if self._signals is not None:
            await self._signals.close()
        if self._own_http is not None:
            await self._own_http.close()

    def drop_signalling(self) -> None:
        """The WebSocket breaks; media goes on."""
        if self._signals is not None:
            self._signals.drop()

    async def resume(self, *, restart_ice: bool = True, timeout: float = 10.0) -> None:
        """A new WebSocket for the same session, as clients do after a break. Raises Refused, Failed, TimeoutError."""
        rounds = self._negotiation.rounds
        self._negotiation.forget_round()
        await self._open_signals("", 0, resume_sid=self.joined.participant.sid)
        if restart_ice:
            self._connection.restart_ice()
            self._negotiation.renegotiate()
            await self.until(lambda: self._negotiation.rounds > rounds, timeout)

    async def change_network(self) -> None:
        """Another local address in the middle of a call, with the same keys."""
        answer = self._negotiation.answer
        if answer is None:
            raise Failed("There is no connection to move.")
        await self._connection.move(path_for(self.path), answer)

    # --- signals -----------------------------------------------------------------------------------------------

    async def _open_signals(self, offer: str, number: int, resume_sid: str = "") -> None:
        http = self.http or self._own_http
        if http is None:
            http = self._own_http = aiohttp.ClientSession()
        self._signals = Signalling(http, self._signalled, self._signals_closed)
        subscribe = self.behaviour.auto_subscribe
        request = join_request(offer, offer_id=number, auto_subscribe=subscribe, resume_sid=resume_sid)
        await self._signals.open(self.url, self.token, request)

    def _send(self, **fields: Any) -> None:
        if self._signals is not None:
            self._signals.send(**fields)

    def _signalled(self, response: Any) -> None:
        kind = response.WhichOneof("message")
        handle = _HANDLERS.get(kind)
        if handle is not None:
            handle(self, getattr(response, kind))
        if self.on_signal is not None:
            self.on_signal(response)
        self._wake()

    def _joined(self, join: Any) -> None:
        self.joined = join
        self._keep_alive()
        self._updated(rtc.ParticipantUpdate(participants=join.other_participants))

    def _keep_alive(self) -> None:
        if self._signals is not None:
            self._signals.keep_alive(self.joined.ping_interval)

    def _resumed(self, response: Any) -> None:
        self._keep_alive()

    def _answered(self, answer: Any) -> None:
        try:
            self._negotiation.answered(answer)
        except SdpError as error:
            self._failed(str(error))

    def _trickled(self, trickle: Any) -> None:
        with contextlib.suppress(ValueError, AttributeError):
            value = str(json.loads(trickle.candidateInit or "{}").get("candidate"))
            self._connection.trickled(value.removeprefix("candidate:"), final=trickle.final)

    def _sections_needed(self, needed: Any) -> None:
        self._negotiation.needed(needed.num_audios, needed.num_videos)

    def _published(self, published: Any) -> None:
        for track in self.tracks:
            if track.cid == published.cid:
                track.sid = published.track.sid

    def _updated(self, update: Any) -> None:
        for participant in update.participants:
            if participant.state == models.ParticipantInfo.DISCONNECTED:
                self.others.pop(participant.identity, None)
            else:
                self.others[participant.identity] = participant

    def _spoken(self, changed: Any) -> None:
        for speaker in changed.speakers:
            if speaker.active:
                self.speakers[speaker.sid] = speaker
            else:
                self.speakers.pop(speaker.sid, None)

    def _sent_away(self, leave: Any) -> None:
        self.left = leave
        self._failed(f"The SFU asked us to leave: {leave.reason}")

    def _signals_closed(self) -> None:
        self.closed = True
        if not self._connection.connected:
            self._failed("The SFU closed the WebSocket.")
        self._wake()

    def _failed(self, reason: str) -> None:
        self.failure = self.failure or reason
        self._wake()

    def _wake(self) -> None:
        self._changed.set()

    # --- media -------------------------------------------------------------------------------------------------

    def _transmit(self, packet: bytes) -> None:
        loses = self.behaviour.loses_sent
        if loses is None or not loses():
            self._connection.send_rtp(packet)

    def _rtp(self, packet: bytes) -> None:
        self._listening.arrived(packet)

    def _rtcp(self, packet: bytes) -> None:
        for report in reports(packet):
            self.reported[report.ssrc] = report
        if self.behaviour.resends:
            for ssrc, sequence in requests(packet):
                self._send_again(ssrc, sequence)

    def _send_again(self, ssrc: int, sequence: int) -> None:
        for track in self.tracks:
            packet = track.again(sequence) if track.ssrc == ssrc else None
            if packet is not None:
                self._transmit(packet)


_HANDLERS: dict[str, Callable[[Participant, Any], None]] = {
    "join": Participant._joined,
    "reconnect": Participant._resumed,
    "answer": Participant._answered,
    "trickle": Participant._trickled,
    "media_sections_requirement": Participant._sections_needed,
    "track_published": Participant._published,
    "update": Participant._updated,
    "speakers_changed": Participant._spoken,
    "leave": Participant._sent_away,
}

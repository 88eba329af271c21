"""One peer connection of ours: a path, ICE, DTLS and SRTP over it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import pylibsrtp
from pylibsrtp import Session

from voice.participant.dtls import DtlsClient
from voice.participant.ice import Credentials, IceAgent
from voice.participant.paths import Address, NoPath, Path, RemoteCandidate
from voice.sfu.embedded.sdp import Description
from voice.sfu.embedded.transport.certificate import Identity, new_identity

_MAX_TRICKLED = 32


def _ignore(*_: object) -> None:
    pass


@dataclass(slots=True)
class Connection:
    path: Path
    on_changed: Callable[[], None]
    """Nominated, or connected."""
    on_failure: Callable[[str], None]
    on_rtp: Callable[[bytes], None]
    """A packet whose header can be read; its payload only where `opens_packets`."""
    on_rtcp: Callable[[bytes], None]
    opens_packets: bool = True
    """Decrypt; without it packets cost a third, and can still be counted (SRTP leaves headers clear)."""
    loses: Callable[[], bool] | None = None
    """Asked for each RTP packet before anything is made of it: whether the network lost it."""
    identity: Identity = field(default_factory=new_identity)
    ours: Credentials = field(default_factory=Credentials.new)
    unreadable: int = 0
    """Packets that failed authentication or were replayed."""
    _agent: IceAgent | None = None
    _dtls: DtlsClient | None = None
    _out: Session | None = None
    _in: Session | None = None
    _opening: asyncio.Task[None] | None = None
    _answer: Description | None = None
    _trickled: list[RemoteCandidate] = field(default_factory=list)
    _all_here: bool = False

    @property
    def connected(self) -> bool:
        return self._out is not None

    @property
    def nominated(self) -> bool:
        return self._agent is not None and self._agent.selected is not None

    def remote(self, answer: Description) -> None:
        """Connect to who answered; again where the answer has other ICE credentials than the last one."""
        self._answer = answer
        theirs = Credentials(answer.ufrag, answer.password)
        if self._agent is not None and self._agent.theirs == theirs and self._agent.ours == self.ours:
            return
        if self._agent is not None:
            self._restart(theirs)
        elif self._opening is None and (self._all_here or _candidates(answer)):
            self._opening = asyncio.create_task(self._open(answer, theirs))

    def trickled(self, value: str, *, final: bool) -> None:
        """A candidate of theirs that is not in the answer, as LiveKit's server has them (RFC 8838).

        They come within milliseconds, so the last one is waited for: the first may be of no use to us.
        """
        candidate = RemoteCandidate.parse(value)
        if candidate is not None and len(self._trickled) < _MAX_TRICKLED:
            self._trickled.append(candidate)
        self._all_here = self._all_here or final
        if self._all_here and self._answer is not None:
            self.remote(self._answer)

    def restart_ice(self) -> None:
        """New credentials of ours, for the next offer."""
        self.ours = Credentials.new()

    async def move(self, path: Path, answer: Description) -> None:
        """To another path with the same keys, as a phone does that changes from one network to another."""
        self.path.close()
        self.path = path
        targets = await path.open([*_candidates(answer), *self._trickled], self._arrived)
        self._listen(Credentials(answer.ufrag, answer.password), targets)

    def send_rtp(self, packet: bytes) -> None:
        if self._out is not None:
            self._send(self._out.protect(packet))

    def send_rtcp(self, packet: bytes) -> None:
        if self._out is not None:
            self._send(self._out.protect_rtcp(packet))

    def close(self, *, silently: bool = False) -> None:
        if self._dtls is not None and not silently:
            self._dtls.close()
        if self._opening is not None:
            self._opening.cancel()
        if self._agent is not None:
            self._agent.close()
        self._out = self._in = None
        self.on_failure = _ignore
        self.path.close()

    # --- getting there -----------------------------------------------------------------------------------------

    async def _open(self, answer: Description, theirs: Credentials) -> None:
        try:
            targets = await self.path.open([*_candidates(answer), *self._trickled], self._arrived)
        except (NoPath, OSError) as error:
            self.on_failure(str(error))
            return
        self._dtls = DtlsClient(self.identity, answer.fingerprint, self._send, self._keyed, self._failed)
        self._listen(theirs, targets)

    def _restart(self, theirs: Credentials) -> None:
        agent = self._agent
        if agent is not None:
            self._listen(theirs, agent.targets)

    def _listen(self, theirs: Credentials, targets: Sequence[Address]) -> None:
        if self._agent is not None:
            self._agent.close()
        self._agent = IceAgent(self.ours, theirs, targets, self.path.send, self._nominated)
        self._agent.start()

    def _nominated(self) -> None:
        if self._dtls is not None and not self.connected:
            self._dtls.start()
        self.on_changed()

    def _keyed(self, outgoing: Session, incoming: Session) -> None:
        self._out, self._in = outgoing, incoming
        self.on_changed()

    def _failed(self, reason: str) -> None:
        self.on_failure(reason)

    # --- packets -----------------------------------------------------------------------------------------------

    def _send(self, packet: bytes) -> None:
        agent = self._agent
        if agent is not None and agent.selected is not None:
            self.path.send(packet, agent.selected)

    def _arrived(self, packet: bytes) -> None:
        """RFC 7983: the first byte tells the protocols apart."""
        first = packet[0]
        if 127 < first < 192:
            self._media(packet)
        elif first < 4:
            if self._agent is not None:
                self._agent.arrived(packet)
        elif 19 < first < 64 and self._dtls is not None:
            self._dtls.arrived(packet)

    def _media(self, packet: bytes) -> None:
        session = self._in
        if session is None or len(packet) < 12:
            return
        try:
            if 191 < packet[1] < 224:
                self.on_rtcp(session.unprotect_rtcp(packet))
            elif self.loses is None or not self.loses():
                self.on_rtp(session.unprotect(packet) if self.opens_packets else packet)
        except pylibsrtp.Error:
            self.unreadable += 1


def _candidates(answer: Description) -> list[RemoteCandidate]:
    values = [value for section in answer.sections for value in section.candidates]
    return [candidate for value in values if (candidate := RemoteCandidate.parse(value)) is not None]

"""One peer connection of one client: whom checks are answered for, who the peer is, and its packets in the clear."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import Any, Literal

from OpenSSL import SSL

from voice.sfu.embedded.allowance import Allowance
from voice.sfu.embedded.contracts import TransportObserver
from voice.sfu.embedded.transport import srtp, stun
from voice.sfu.embedded.transport.addresses import SocketAddress
from voice.sfu.embedded.transport.counters import Counters
from voice.sfu.embedded.transport.credentials import CredentialHistory, RecentTransactions
from voice.sfu.embedded.transport.dtls import DtlsClosed, DtlsEndpoint, DtlsFailed, SrtpKeys, new_endpoint
from voice.sfu.embedded.transport.egress import Egress
from voice.sfu.embedded.transport.ingress import Ingress
from voice.sfu.embedded.transport.limits import (
    MAX_CHANNELS,
    MAX_CHECKS_PER_SECOND,
    MAX_DTLS_PER_SECOND,
    MAX_PATHS,
    MAX_SSRCS,
    MAX_WAITING_DTLS,
    PATH_RESPECT_NS,
)
from voice.sfu.embedded.transport.paths import Path, UdpPath
from voice.sfu.embedded.transport.sctp import DataChannels, new_data_channels
from voice.sfu.embedded.transport.stun import BindingRequest

_log = logging.getLogger(__name__)

_SHORTEST_TIMER = 0.01


@dataclass(slots=True, eq=False)
class Transport:
    """Made by a port, which brings it the packets; `contracts.MediaTransport` to everybody else."""

    _observer: TransportObserver
    _context: SSL.Context
    _ingress: Ingress
    _egress: Egress
    _counters: Counters
    _name: Callable[[str, Transport], None]
    """Checks for this ufrag are ours from now on."""
    _unname: Callable[[str], None]
    _ended: Callable[[Transport], None]
    heard_ns: int
    ufrag: str = ""
    password: str = ""
    egress_context: Any = None
    egress_address: SocketAddress = ("", 0)
    egress_pointer: int = 0
    _credentials: CredentialHistory = field(default_factory=CredentialHistory)
    _transactions: RecentTransactions = field(default_factory=RecentTransactions)
    _checks: Allowance = field(default_factory=lambda: Allowance(MAX_CHECKS_PER_SECOND))
    _datagrams: Allowance = field(default_factory=lambda: Allowance(MAX_DTLS_PER_SECOND))
    _paths: dict[Hashable, Path] = field(default_factory=dict)
    """Those with an authentic check, least recently checked first."""
    _path: Path | None = None
    _fingerprint: tuple[str, str] | None = None
    _waiting: list[bytes] = field(default_factory=list)
    _dtls: DtlsEndpoint | None = None
    _timer: asyncio.TimerHandle | None = None
    _sessions: tuple[Any, ...] = ()
    """Own what the contexts point to."""
    _incoming: Any = None
    _outgoing: Any = None
    _ssrcs: set[bytes] = field(default_factory=set)
    _channels: DataChannels | None = None
    _wanted_channels: list[tuple[str, bool]] = field(default_factory=list)
    _connected: bool = False
    _over: bool = False

    def __post_init__(self) -> None:
        self._take_name()

    # --- contracts.MediaTransport ----------------------------------------------------------------------------------

    @property
    def connected(self) -> bool:
        return self._connected

    @property
    def silent_ms(self) -> int:
        return max(0, self._ingress.monotonic_ns() - self.heard_ns) // 1_000_000

    @property
    def protocol(self) -> Literal["udp", "tcp", "none"]:
        return "none" if self._path is None else self._path.protocol

    def expect(self, fingerprint_algorithm: str, fingerprint: str) -> None:
        if self._over:
            return
        self._fingerprint = (fingerprint_algorithm, fingerprint)
        if self._connected and not self._is_expected_peer():
            self._fail("The peer described itself with another certificate.")
        waiting, self._waiting = self._waiting, []
        for datagram in waiting:
            self.receive_dtls(datagram)

    def restart_ice(self) -> None:
        void = self._credentials.restart()
        if void is not None:
            self._unname(void.ufrag)
        self._take_name()

    def send_rtp(self, packet: bytes, second_byte: int) -> None:
        self._egress.rtp_to_many(packet, ((self, second_byte),))

    def send_aside(self, packet: bytes, second_byte: int) -> None:
        """Over TCP; dropped where there is no key or no path, or the peer is slow."""
        self._send_framed(packet, self._egress.protect, second_byte, may_be_lost=True)

    def send_rtcp(self, packet: bytes) -> None:
        if self.egress_context is not None:
            self._egress.rtcp(self, packet)
        else:
            self._send_framed(packet, self._egress.protect_rtcp, None, may_be_lost=False)

    def open_channel(self, label: str, *, reliable: bool) -> None:
        if self._over or len(self._wanted_channels) >= MAX_CHANNELS:
            return
        if not self._connected:
            self._wanted_channels.append((label, reliable))
        elif (channels := self._association()) is not None:
            channels.open(label, reliable=reliable)

    def send_data(self, label: str, payload: bytes) -> bool:
        return self._channels is not None and self._channels.send(label, payload)

    def close(self) -> None:
        if not self._over:
            self._over = True
            self._say_goodbye()
        self._release()
        self._ended(self)

    def _take_name(self) -> None:
        current = self._credentials.current
        self.ufrag, self.password = current.ufrag, current.password
        self._name(self.ufrag, self)

    # --- connectivity checks (RFC 8445 for a lite agent) ---------------------------------------------------------

    @property
    def names(self) -> tuple[str, ...]:
        previous = self._credentials.previous
        return (self.ufrag,) if previous is None else (self.ufrag, previous.ufrag)

    def password_of(self, request: BindingRequest, source: Hashable) -> str | None:
        """The password the check was made with; None where it must not be believed."""
        password = self._credentials.password_of(request)
        if password is None or self._transactions.is_replay(request.transaction, source):
            return None
        return password if self._checks.take(self._ingress.now_ns) else None

    def holds(self, path: Path) -> bool:
        """Its peer is reached by this path, and was heard just now."""
        return path is self._path and self._ingress.now_ns - self.heard_ns < PATH_RESPECT_NS

    def checked(self, request: BindingRequest, password: str, path: Path) -> bytes:
        """An authentic check came by this path; the answer to it."""
        self.heard_ns = self._ingress.now_ns
        if request.unknown:
            return stun.unknown_attributes(request, password)
        if request.claims_controlled:
            return stun.role_conflict(request, password)
        if (void := self._credentials.settle(request)) is not None:
            self._unname(void.ufrag)
        self._remember(path)
        if self._path is None or request.nominates:
            self._use(path)
        return stun.success(request, password, path.host, path.port)

    def path_lost(self, path: Path) -> None:
        """Its connection ended, or it is another transport's now."""
        self._paths.pop(path.key, None)
        if self._path is path:
            self._use(next(reversed(self._paths.values()), None))

    def _remember(self, path: Path) -> None:
        if path.transport is not None and path.transport is not self:
            # An address may be given to another connection, by a NAT or by the same client.
            path.transport.path_lost(path)
        path.transport = self
        self._paths.pop(path.key, None)
        self._paths[path.key] = path
        while len(self._paths) > MAX_PATHS:
            oldest = next(known for known in self._paths.values() if known is not self._path)
            del self._paths[oldest.key]
            oldest.forget()

    def _use(self, path: Path | None) -> None:
        if path is self._path:
            return
        # What is queued points at the old address, whose memory may go with its path.
        self._egress.flush()
        self._path = path
        if isinstance(path, UdpPath):
            self.egress_address, self.egress_pointer = path.address, path.pointer
            self.egress_context = self._outgoing
        else:
            self.egress_context = None

    # --- DTLS ----------------------------------------------------------------------------------------------------

    def receive_dtls(self, datagram: bytes) -> None:
        """From a path of ours. Before the peer's description is here, a few are kept."""
        if self._over or not self._datagrams.take(self._ingress.now_ns):
            return
        if self._fingerprint is None:
            if len(self._waiting) < MAX_WAITING_DTLS:
                self._waiting.append(datagram)
        elif self._connected:
            self._receive_data(datagram)
        else:
            self._shake_hands(datagram)

    def _shake_hands(self, datagram: bytes) -> None:
        if self._dtls is None:
            self._dtls = new_endpoint(self._context)
        try:
            complete = self._dtls.handshake(datagram)
        except DtlsFailed as error:
            self._send_dtls(self._dtls)
            self._fail(str(error))
            return
        if complete and not self._is_expected_peer():
            # What would complete his side of the handshake must not leave.
            self._dtls.outgoing()
            self._fail("The peer's certificate is not the one of its description.")
            return
        self._send_dtls(self._dtls)
        if complete:
            self._establish(self._dtls)
        else:
            self._arm(self._dtls)

    def _is_expected_peer(self) -> bool:
        return self._dtls is not None and self._fingerprint is not None and self._dtls.verify(*self._fingerprint)

    def _establish(self, dtls: DtlsEndpoint) -> None:
        self._disarm()
        keys = dtls.keys()
        if keys is not None:
            self._use_keys(keys)
        self._connected = True
        self._observer.transport_connected()
        # Whoever is told may close us; `open_channel` and `_receive_data` then do nothing.
        wanted, self._wanted_channels = self._wanted_channels, []
        for label, reliable in wanted:
            self.open_channel(label, reliable=reliable)
        self._receive_data(b"")

    def _use_keys(self, keys: SrtpKeys) -> None:
        incoming, outgoing = srtp.incoming(keys.profile, keys.client), srtp.outgoing(keys.profile, keys.server)
        self._sessions = (incoming, outgoing)
        context = self._ingress.functions.context
        self._incoming, self._outgoing = context(incoming), context(outgoing)
        if isinstance(self._path, UdpPath):
            self.egress_context = self._outgoing

    def _send_dtls(self, dtls: DtlsEndpoint) -> None:
        for datagram in dtls.outgoing():
            if self._path is not None:
                self._path.send(datagram, droppable=False)

    def _arm(self, dtls: DtlsEndpoint) -> None:
        self._disarm()
        seconds = dtls.timeout()
        if seconds is not None:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(max(seconds, _SHORTEST_TIMER), self._repeat_flight, dtls)

    def _disarm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _repeat_flight(self, dtls: DtlsEndpoint) -> None:
        self._timer = None
        try:
            dtls.handle_timeout()
        except DtlsFailed as error:
            self._fail(str(error))
            return
        self._send_dtls(dtls)
        self._arm(dtls)

    # --- data ----------------------------------------------------------------------------------------------------

    def _receive_data(self, datagram: bytes) -> None:
        dtls = self._dtls
        if dtls is None:
            return
        try:
            for packet in dtls.receive(datagram):
                self.heard_ns = self._ingress.now_ns
                channels = self._association()
                if channels is None:
                    return
                channels.receive(packet)
        except DtlsClosed:
            self._fail("The peer closed the connection.")
        except DtlsFailed as error:
            self._fail(str(error))
        else:
            self._send_dtls(dtls)

    def _association(self) -> DataChannels | None:
        """Begun when the first of both sides wants it: a connection without a data section has none."""
        if self._over:
            return None
        if self._channels is None:
            self._channels = new_data_channels(self._observer, self._send_sctp)
            self._channels.start()
        return self._channels

    def _send_sctp(self, packet: bytes) -> None:
        if self._dtls is not None and self._dtls.send(packet):
            self._send_dtls(self._dtls)

    # --- media ---------------------------------------------------------------------------------------------------

    def receive_media(self, size: int) -> None:
        """The first `size` bytes of the port's buffer, from a path of ours."""
        context = self._incoming
        if context is None or size < 12:
            self._counters.bad += 1
            return
        ingress = self._ingress
        view, length = ingress.view, ingress.length
        length[0] = size
        # RFC 5761 section 4: the packet types of RTCP, where RTP has marker and payload type.
        is_rtcp = 192 <= view[1] <= 223
        functions = ingress.functions
        unprotect = functions.unprotect_rtcp if is_rtcp else functions.unprotect
        if unprotect(context, ingress.memory, length):
            self._counters.bad += 1
            return
        self.heard_ns = ingress.now_ns
        ssrc = bytes(view[4:8] if is_rtcp else view[8:12])
        if ssrc not in self._ssrcs and not self._admit(ssrc):
            return
        packet = bytes(view[: length[0]])
        if is_rtcp:
            self._observer.rtcp_arrived(packet)
        else:
            self._observer.rtp_arrived(packet)

    def _admit(self, ssrc: bytes) -> bool:
        """libsrtp keeps replay state for each SSRC it has ever seen; a client that needs so many connects anew."""
        if len(self._ssrcs) >= MAX_SSRCS:
            self._fail("Too many streams on one connection.")
            return False
        self._ssrcs.add(ssrc)
        return True

    def _send_framed(
        self, packet: bytes, function: srtp.InPlace, second_byte: int | None, *, may_be_lost: bool
    ) -> None:
        if self._outgoing is None or self._path is None:
            return
        if may_be_lost and self._egress.loss is not None and self._egress.loss():
            return
        protected = self._egress.protected(function, self._outgoing, packet, second_byte)
        if protected is not None and self._path.send(protected, droppable=True):
            self._counters.sent += 1
        else:
            self._counters.dropped += 1

    # --- the end -------------------------------------------------------------------------------------------------

    def _fail(self, reason: str) -> None:
        if self._over:
            return
        self._over = True
        _log.debug("A transport ends: %s", reason)
        self._say_goodbye()
        self._release()
        self._observer.transport_failed(reason)

    def _say_goodbye(self) -> None:
        self._egress.flush()
        if self._channels is not None:
            self._channels.close()
        if self._dtls is not None:
            self._dtls.close()
            self._send_dtls(self._dtls)

    def _release(self) -> None:
        """Keys, paths and names are given back; what is queued still leaves."""
        self._connected = False
        self._disarm()
        self._use(None)
        for path in list(self._paths.values()):
            path.forget()
        self._paths.clear()
        for name in self.names:
            self._unname(name)
        self._incoming = self._outgoing = None
        self._sessions = ()
        self._channels = self._dtls = None
        self._waiting.clear()

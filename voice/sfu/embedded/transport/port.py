"""One UDP socket and one TCP listener for all transports of a worker: whose packet is this?"""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from voice.sfu.embedded.contracts import Candidate, MediaTransport, TransportObserver
from voice.sfu.embedded.transport import sendmmsg, stun
from voice.sfu.embedded.transport.addresses import SocketAddress, advertised, candidates, is_any, unmapped
from voice.sfu.embedded.transport.certificate import Identity, new_identity
from voice.sfu.embedded.transport.counters import Counters
from voice.sfu.embedded.transport.egress import Egress, new_egress
from voice.sfu.embedded.transport.ingress import Ingress, new_ingress
from voice.sfu.embedded.transport.limits import (
    DATAGRAMS_A_TURN,
    MAX_DATAGRAM,
    SENT_A_TURN,
    THROWN_AWAY_A_TURN,
    TOO_LATE_NS,
)
from voice.sfu.embedded.transport.paths import Path, UdpPath, udp_path
from voice.sfu.embedded.transport.sockets import bind_both
from voice.sfu.embedded.transport.srtp import SrtpFunctions, best_functions
from voice.sfu.embedded.transport.tcp import TcpListener, TcpPath
from voice.sfu.embedded.transport.transport import Transport

_log = logging.getLogger(__name__)

_QUIET_NS = 1_000_000_000
"""At most one report of a fault in a packet's way for this long: packets come in thousands."""


@dataclass(slots=True, eq=False)
class Port:
    """`contracts.MediaPort`. Demultiplexes by first byte (RFC 7983), then by name in checks, by address in all else."""

    candidates: Sequence[Candidate]
    counters: Counters
    _identity: Identity
    _socket: socket.socket
    _ingress: Ingress
    _egress: Egress
    _listener: TcpListener | None = None
    _by_name: dict[str, Transport] = field(default_factory=dict)
    _by_address: dict[SocketAddress, UdpPath] = field(default_factory=dict)
    _transports: set[Transport] = field(default_factory=set)
    _reported_ns: int = 0
    _behind_ns: int = 0
    """When reading first ended before all was read; 0 while we keep up."""

    # --- contracts.MediaPort ---------------------------------------------------------------------------------------

    @property
    def fingerprint(self) -> str:
        return self._identity.fingerprint

    def new_transport(self, observer: TransportObserver) -> MediaTransport:
        transport = Transport(
            observer,
            self._identity.context,
            self._ingress,
            self._egress,
            self.counters,
            self._by_name.__setitem__,
            self._unname,
            self._transports.discard,
            heard_ns=self._ingress.monotonic_ns(),
        )
        self._transports.add(transport)
        return transport

    def send_rtp_to_many(self, packet: bytes, targets: Sequence[tuple[MediaTransport, int]]) -> None:
        """`send_rtp` to each, in one loop: the price of a forwarded packet is mostly what is done around libsrtp.

        All targets are transports of this port.
        """
        self._egress.rtp_to_many(packet, targets)  # type: ignore[arg-type]  # they are ours, see above

    def flush(self) -> None:
        self._egress.flush()

    def close(self) -> None:
        for transport in list(self._transports):
            transport.close()
        self._egress.flush()
        if self._socket.fileno() >= 0:
            asyncio.get_running_loop().remove_reader(self._socket.fileno())
            self._socket.close()
        if self._listener is not None:
            self._listener.close()

    # --- reading ---------------------------------------------------------------------------------------------------

    def start(self) -> None:
        asyncio.get_running_loop().add_reader(self._socket.fileno(), self._drain)

    def _drain(self) -> None:
        """All that waits, up to a turn's worth; what it makes us send leaves at the end, together."""
        self._ingress.begin()
        self._egress.hold()
        now_ns = self._ingress.now_ns
        try:
            if self._behind_ns and now_ns - self._behind_ns > TOO_LATE_NS:
                all_read = self._throw_away()
            else:
                all_read = self._read_turn()
        finally:
            self._egress.release()
        self._behind_ns = 0 if all_read else self._behind_ns or now_ns

    def _read_turn(self) -> bool:
        """Whether nothing waits any more."""
        receive, view, by_address = self._socket.recvfrom_into, self._ingress.view, self._by_address
        counters = self.counters
        enough = counters.sent + SENT_A_TURN
        for _ in range(DATAGRAMS_A_TURN):
            try:
                size, address = receive(view)
            except (BlockingIOError, InterruptedError):
                return True
            except OSError:
                # Some systems report here that an earlier datagram of ours was refused.
                continue
            if not 0 < size < MAX_DATAGRAM:
                counters.bad += 1
                continue
            path = by_address.get(address)
            try:
                if path is not None and 127 < view[0] < 192:
                    self._media(path, size)
                else:
                    self._other(bytes(view[:size]), path, address)
            except Exception:
                self._report_fault()
            if counters.sent > enough:
                return False
        return False

    def _throw_away(self) -> bool:
        """Media that waits, unread; checks and data go on. Whether nothing waits any more."""
        receive, view = self._socket.recvfrom_into, self._ingress.view
        for _ in range(THROWN_AWAY_A_TURN):
            try:
                size, address = receive(view)
            except (BlockingIOError, InterruptedError):
                return True
            except OSError:
                continue
            if 127 < view[0] < 192:
                self.counters.late += 1
            elif 0 < size < MAX_DATAGRAM:
                try:
                    self._other(bytes(view[:size]), self._by_address.get(address), address)
                except Exception:
                    self._report_fault()
        return False

    def _media(self, path: Path, size: int) -> None:
        self.counters.received += 1
        if path.transport is not None:
            path.transport.receive_media(size)

    def _other(self, packet: bytes, path: UdpPath | None, address: SocketAddress) -> None:
        first = packet[0]
        if first < 4:
            self._udp_check(packet, path, address)
        elif 19 < first < 64 and path is not None and path.transport is not None:
            self.counters.received += 1
            path.transport.receive_dtls(packet)
        else:
            self.counters.bad += 1

    def _frame(self, packet: bytes, path: TcpPath) -> None:
        """The same for a packet that came over TCP; strangers may send checks and nothing else."""
        self._ingress.begin()
        first, transport = packet[0], path.transport
        try:
            if first < 4:
                self._tcp_check(packet, path)
            elif transport is None or len(packet) >= MAX_DATAGRAM:
                self.counters.bad += 1
                path.abort()
            elif 127 < first < 192:
                self._ingress.put(packet)
                self._media(path, len(packet))
            elif 19 < first < 64:
                self.counters.received += 1
                transport.receive_dtls(packet)
            else:
                self.counters.bad += 1
        except Exception:
            self._report_fault()

    def _report_fault(self) -> None:
        """A fault in the code above must cost one packet, not the calls of everybody in this worker."""
        self.counters.bad += 1
        if self._ingress.now_ns - self._reported_ns > _QUIET_NS:
            self._reported_ns = self._ingress.now_ns
            _log.exception("A packet could not be handled.")

    # --- connectivity checks -----------------------------------------------------------------------------------------

    def _udp_check(self, message: bytes, path: UdpPath | None, address: SocketAddress) -> None:
        """Nothing is remembered and nothing answered before the check is authentic."""
        found = self._authentic(message, address)
        if found is None:
            return
        transport, request, password = found
        if path is None:
            path = udp_path(self._socket, address, self._forget)
            self._by_address[address] = path
        self._answer(transport, request, password, path)
        if path.transport is None:
            # Answered with an error: nobody's.
            self._forget(path)

    def _tcp_check(self, message: bytes, path: TcpPath) -> None:
        found = self._authentic(message, path)
        if found is None:
            path.abort()
            return
        self._answer(*found, path)

    def _authentic(self, message: bytes, source: object) -> tuple[Transport, stun.BindingRequest, str] | None:
        request = stun.read_binding_request(message)
        transport = None if request is None else self._by_name.get(request.ufrag)
        if request is None or transport is None:
            self.counters.bad += 1
            return None
        password = transport.password_of(request, source)
        if password is None:
            self.counters.bad += 1
            return None
        return transport, request, password

    def _answer(self, transport: Transport, request: stun.BindingRequest, password: str, path: Path) -> None:
        if path.transport is not None and path.transport is not transport and path.transport.holds(path):
            self.counters.bad += 1
            return
        self.counters.checks += 1
        path.send(transport.checked(request, password, path), droppable=False)

    def _unname(self, ufrag: str) -> None:
        self._by_name.pop(ufrag, None)

    def _forget(self, path: UdpPath) -> None:
        self._by_address.pop(path.address, None)


async def open_media_port(
    bind: str,
    port: int,
    advertise: Sequence[str],
    *,
    loss: Callable[[], bool] | None = None,
    batched: bool = True,
    functions: SrtpFunctions | None = None,
) -> Port:
    """A port that reads already. Raises OSError where the number is taken or the address not ours.

    `port` 0: any. `advertise`: addresses (or names, looked up once) for candidates, the best first; found out if empty.
    `loss` is asked for each RTP packet that leaves, and says which are thrown away (tests). `batched` False sends each
    packet by itself; `functions` are libsrtp's (tests, measurements).
    """
    udp, tcp = bind_both(bind, port)
    number = udp.getsockname()[1]
    functions = functions or best_functions()
    counters = Counters()
    egress = new_egress(
        udp,
        counters,
        functions.protect,
        functions.protect_rtcp,
        loss=loss,
        batched=batched and sendmmsg.is_supported(),
    )
    bound = "" if is_any(bind) else unmapped(udp.getsockname()[0])
    addresses = advertised(bound, await _resolved(advertise), has_ipv6=udp.family == socket.AF_INET6)
    opened = Port(candidates(addresses, number, number), counters, new_identity(), udp, new_ingress(functions), egress)
    opened._listener = TcpListener(opened._frame)
    await opened._listener.listen(tcp)
    opened.start()
    return opened


async def _resolved(names: Sequence[str]) -> list[str]:
    """Candidates carry addresses: browsers ignore names in them. Names that do not resolve are left out."""
    loop = asyncio.get_running_loop()
    found: list[str] = []
    for name in names:
        if _is_address(name):
            found.append(name)
            continue
        try:
            infos = await loop.getaddrinfo(name, None, type=socket.SOCK_DGRAM)
        except OSError as error:
            _log.warning("voice.advertise: %s does not resolve: %s", name, error)
            continue
        found += dict.fromkeys(str(info[4][0]) for info in infos)
    return found


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True

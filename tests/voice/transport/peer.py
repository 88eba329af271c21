"""Alice's end of a media connection, made of other libraries than ours where there are any: aioice's STUN, OpenSSL, libsrtp."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar

from aioice import stun
from pylibsrtp import Session

from voice.sfu.embedded.contracts import MediaTransport
from voice.sfu.embedded.transport import srtp
from voice.sfu.embedded.transport.certificate import Identity, new_identity
from voice.sfu.embedded.transport.dtls import DtlsEndpoint, new_endpoint
from voice.sfu.embedded.transport.port import Port
from voice.sfu.embedded.transport.sctp import DataChannels, new_data_channels

T = TypeVar("T")

PATIENCE = 5.0
IDENTITY = new_identity()
"""Made once: all peers of a test run may have the same certificate, but for those of a test about certificates."""


@dataclass(slots=True)
class Recorder:
    """A TransportObserver that remembers, and wakes whoever waits."""

    connected: asyncio.Event = field(default_factory=asyncio.Event)
    failed: asyncio.Queue[str] = field(default_factory=asyncio.Queue)
    rtp: asyncio.Queue[bytes] = field(default_factory=asyncio.Queue)
    rtcp: asyncio.Queue[bytes] = field(default_factory=asyncio.Queue)
    channels: asyncio.Queue[str] = field(default_factory=asyncio.Queue)
    data: asyncio.Queue[tuple[str, bytes]] = field(default_factory=asyncio.Queue)
    faults: int = 0
    """How many of the next packets it fails on."""

    def transport_connected(self) -> None:
        self.connected.set()

    def transport_failed(self, reason: str) -> None:
        self.failed.put_nowait(reason)

    def rtp_arrived(self, packet: bytes) -> None:
        if self.faults:
            self.faults -= 1
            raise RuntimeError("A bug in what is above.")
        self.rtp.put_nowait(packet)

    def rtcp_arrived(self, packet: bytes) -> None:
        self.rtcp.put_nowait(packet)

    def channel_opened(self, label: str) -> None:
        self.channels.put_nowait(label)

    def data_arrived(self, label: str, payload: bytes) -> None:
        self.data.put_nowait((label, payload))


async def soon(queue: asyncio.Queue[T]) -> T:
    """The next of it."""
    return await asyncio.wait_for(queue.get(), PATIENCE)


@dataclass(slots=True)
class Wire:
    """A UDP socket of Alice's, or a TCP connection."""

    sock: socket.socket
    target: Any
    framed: bool = False
    _pending: bytearray = field(default_factory=bytearray)

    def send(self, packet: bytes) -> None:
        if self.framed:
            self.sock.sendall(len(packet).to_bytes(2, "big") + packet)
        else:
            self.sock.sendto(packet, self.target)

    async def receive(self) -> bytes:
        loop = asyncio.get_running_loop()
        if not self.framed:
            return await loop.sock_recv(self.sock, 4096)
        while len(self._pending) < 2 or len(self._pending) < 2 + int.from_bytes(self._pending[:2], "big"):
            data = await loop.sock_recv(self.sock, 65536)
            if not data:
                raise ConnectionError
            self._pending += data
        size = int.from_bytes(self._pending[:2], "big")
        packet = bytes(self._pending[2 : 2 + size])
        del self._pending[: 2 + size]
        return packet


def udp_wire(port: Port, host: str = "127.0.0.1") -> Wire:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_DGRAM)
    sock.setblocking(False)
    sock.bind((host, 0))
    return Wire(sock, (host, number_of(port)))


async def tcp_wire(port: Port, host: str = "127.0.0.1") -> Wire:
    sock = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    sock.setblocking(False)
    await asyncio.get_running_loop().sock_connect(sock, (host, number_of(port)))
    return Wire(sock, None, framed=True)


def number_of(port: Port) -> int:
    return port.candidates[0].port


@dataclass(slots=True)
class Peer:
    """Reads in the background; one for each transport of the port."""

    wire: Wire
    transport: MediaTransport
    identity: Identity = IDENTITY
    checks: asyncio.Queue[stun.Message] = field(default_factory=asyncio.Queue)
    media: asyncio.Queue[bytes] = field(default_factory=asyncio.Queue)
    channel_events: Recorder = field(default_factory=Recorder)
    dtls: DtlsEndpoint | None = None
    outgoing: Session | None = None
    incoming: Session | None = None
    channels: DataChannels | None = None
    shaken: asyncio.Event = field(default_factory=asyncio.Event)
    reader: asyncio.Task[None] | None = None
    deaf: bool = False
    """What the server sends of the handshake is lost on the way."""

    # --- ICE -----------------------------------------------------------------------------------------------------

    def request(self, **attributes: Any) -> bytes:
        return check(self.transport.ufrag, self.transport.password, **attributes)

    async def check(self, **attributes: Any) -> stun.Message:
        self.wire.send(self.request(**attributes))
        return await soon(self.checks)

    # --- DTLS ----------------------------------------------------------------------------------------------------

    async def connect(self) -> None:
        """Check, handshake, keys."""
        await self.check()
        self.transport.expect("sha-256", self.identity.fingerprint)
        self.start_handshake()
        await asyncio.wait_for(self.shaken.wait(), PATIENCE)

    def start_handshake(self) -> None:
        self.dtls = new_endpoint(self.identity.context, server=False)
        self.dtls.handshake()
        self._flush()

    def _flush(self) -> None:
        assert self.dtls is not None
        for datagram in self.dtls.outgoing():
            self.wire.send(datagram)

    def _on_dtls(self, datagram: bytes) -> None:
        assert self.dtls is not None
        if not self.dtls.connected:
            if self.dtls.handshake(datagram):
                self._take_keys(self.dtls)
            self._flush()
            return
        for packet in self.dtls.receive(datagram):
            self.association().receive(packet)
        self._flush()

    def _take_keys(self, dtls: DtlsEndpoint) -> None:
        keys = dtls.keys()
        assert keys is not None
        self.outgoing, self.incoming = (
            srtp.outgoing(keys.profile, keys.client),
            srtp.incoming(keys.profile, keys.server),
        )
        self.shaken.set()

    def goodbye(self) -> None:
        assert self.dtls is not None
        self.dtls.close()
        self._flush()

    # --- data ----------------------------------------------------------------------------------------------------

    def association(self) -> DataChannels:
        if self.channels is None:
            self.channels = new_data_channels(self.channel_events, self.send_sctp, server=False)
            self.channels.start()
        return self.channels

    def send_sctp(self, packet: bytes) -> None:
        assert self.dtls is not None
        self.dtls.send(packet)
        self._flush()

    # --- media ---------------------------------------------------------------------------------------------------

    def protected(self, packet: bytes) -> bytes:
        assert self.outgoing is not None
        return self.outgoing.protect(packet)

    def send_rtp(self, packet: bytes) -> None:
        self.wire.send(self.protected(packet))

    def send_rtcp(self, packet: bytes) -> None:
        assert self.outgoing is not None
        self.wire.send(self.outgoing.protect_rtcp(packet))

    async def next_rtp(self) -> bytes:
        assert self.incoming is not None
        return self.incoming.unprotect(await soon(self.media))

    async def next_rtcp(self) -> bytes:
        assert self.incoming is not None
        return self.incoming.unprotect_rtcp(await soon(self.media))

    # --- reading -------------------------------------------------------------------------------------------------

    async def read(self) -> None:
        while True:
            try:
                packet = await self.wire.receive()
            except OSError:
                return
            if packet[0] < 4:
                self.checks.put_nowait(stun.parse_message(packet))
            elif packet[0] < 64:
                if not self.deaf:
                    self._on_dtls(packet)
            else:
                self.media.put_nowait(packet)

    async def move_to(self, wire: Wire) -> None:
        """Another network: the old address is heard of no more."""
        await self.stop()
        self.wire = wire
        self.reader = asyncio.create_task(self.read())

    async def stop(self) -> None:
        if self.reader is not None:
            self.reader.cancel()
            await asyncio.gather(self.reader, return_exceptions=True)
        self.wire.sock.close()


@asynccontextmanager
async def peer(wire: Wire, transport: MediaTransport, **options: Any) -> AsyncIterator[Peer]:
    alice = Peer(wire, transport, **options)
    alice.reader = asyncio.create_task(alice.read())
    try:
        yield alice
    finally:
        await alice.stop()
        if alice.channels is not None:
            alice.channels.close()


def check(ufrag: str, password: str, *, nominate: bool = True, controlled: bool = False, extra: bytes = b"") -> bytes:
    """A connectivity check as aioice makes it; `extra` is put before its integrity value."""
    message = stun.Message(stun.Method.BINDING, stun.Class.REQUEST)
    message.attributes["USERNAME"] = f"{ufrag}:alice"
    message.attributes["PRIORITY"] = 1853824767
    message.attributes["ICE-CONTROLLED" if controlled else "ICE-CONTROLLING"] = 1234567
    if nominate:
        message.attributes["USE-CANDIDATE"] = None
    if not extra:
        message.add_message_integrity(password.encode())
        message.add_fingerprint()
        return bytes(message)
    return _sealed(bytes(message) + extra, password)


def _sealed(message: bytes, password: str) -> bytes:
    """aioice writes known attributes only; these are sealed by hand, with its sums."""
    message += struct.pack("!HH", 8, 20) + stun.message_integrity(message, password.encode())
    message += struct.pack("!HHI", 0x8028, 4, stun.message_fingerprint(message))
    return stun.set_body_length(message, len(message) - 20)


def rtp(sequence: int, *, ssrc: int = 0x11223344, payload: bytes = b"opus frame", second_byte: int = 111) -> bytes:
    return struct.pack("!BBHII", 0x80, second_byte, sequence & 0xFFFF, 960 * sequence, ssrc) + payload


def receiver_report(ssrc: int = 0x11223344) -> bytes:
    return struct.pack("!BBHI", 0x80, 201, 1, ssrc)

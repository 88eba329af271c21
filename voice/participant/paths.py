"""Ways for packets from us to the SFU: UDP, TCP (RFC 4571 framing), or a TURN server in between."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from aioice.stun import TransactionError
from aioice.turn import create_turn_endpoint

from voice.sfu.embedded.transport.framing import FrameReader, FrameTooLong, framed

Address = tuple[str, int]
Arrived = Callable[[bytes], None]

_MAX_DATAGRAM = 2048
_DRAIN = 64
"""Datagrams read in one turn of the loop, so that one flooded participant does not stop hundreds of others."""
_CONNECT_SECONDS = 5.0


class NoPath(OSError):  # noqa: N818 - it is a state, and reads like one
    """None of the SFU's candidates can be used this way."""


class RelayRefuses(NoPath):
    """Allocates nothing; `code` as in RFC 8489 section 14.8, None where it says nothing at all."""

    def __init__(self, error: TransactionError) -> None:
        response = getattr(error, "response", None)
        self.code: int | None = None if response is None else response.error_code
        super().__init__(f"The relay refuses: {self.code}" if self.code else "The relay does not answer")


@dataclass(frozen=True, slots=True)
class Turn:
    """A relay (RFC 8656), and how to use it."""

    host: str
    port: int
    username: str
    password: str
    transport: Literal["udp", "tcp"] = "udp"
    tls: bool = False


@dataclass(frozen=True, slots=True)
class RemoteCandidate:
    protocol: Literal["udp", "tcp"]
    address: Address

    @classmethod
    def parse(cls, value: str) -> RemoteCandidate | None:
        """Of a=candidate (RFC 8839 section 5.1); None for those we cannot use."""
        words = value.split()
        if len(words) < 8 or words[1] != "1" or not words[5].isdecimal():
            return None
        protocol = words[2].lower()
        if protocol == "udp":
            return cls("udp", (words[4], int(words[5])))
        passive = "passive" in words[8:]
        return cls("tcp", (words[4], int(words[5]))) if protocol == "tcp" and passive else None


class Path(Protocol):
    async def open(self, candidates: Sequence[RemoteCandidate], arrived: Arrived) -> Sequence[Address]:
        """Where to try; raises NoPath."""
        ...

    def send(self, packet: bytes, to: Address) -> None: ...

    def close(self) -> None: ...


@dataclass(slots=True)
class UdpPath:
    """One socket for each address family, read in bursts: asyncio's own protocols cost thirty microseconds a packet."""

    _sockets: dict[socket.AddressFamily, socket.socket] = field(default_factory=dict)
    _arrived: Arrived = lambda _: None

    async def open(self, candidates: Sequence[RemoteCandidate], arrived: Arrived) -> Sequence[Address]:
        self._arrived = arrived
        targets = [candidate.address for candidate in candidates if candidate.protocol == "udp"]
        for family in dict.fromkeys(_family(target) for target in targets):
            self._open_socket(family)
        usable = [target for target in targets if _family(target) in self._sockets]
        if not usable:
            raise NoPath("The SFU has no UDP candidate for us.")
        return usable

    def _open_socket(self, family: socket.AddressFamily) -> None:
        with contextlib.suppress(OSError):
            ours = socket.socket(family, socket.SOCK_DGRAM)
            ours.setblocking(False)
            ours.bind(("", 0))
            self._sockets[family] = ours
            asyncio.get_running_loop().add_reader(ours.fileno(), self._readable, ours)

    def _readable(self, ours: socket.socket) -> None:
        for _ in range(_DRAIN):
            try:
                packet = ours.recv(_MAX_DATAGRAM)
            except OSError:
                return
            if packet:
                self._arrived(packet)

    def send(self, packet: bytes, to: Address) -> None:
        ours = self._sockets.get(_family(to))
        if ours is not None:
            with contextlib.suppress(OSError):  # full buffers and unreachable hosts are lost packets
                ours.sendto(packet, to)

    def close(self) -> None:
        loop = asyncio.get_running_loop()
        for ours in self._sockets.values():
            loop.remove_reader(ours.fileno())
            ours.close()
        self._sockets.clear()


def _family(address: Address) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in address[0] else socket.AF_INET


@dataclass(slots=True)
class TcpPath:
    """One connection, to the first passive candidate that takes it (RFC 6544)."""

    _writer: asyncio.StreamWriter | None = None
    _reading: asyncio.Task[None] | None = None

    async def open(self, candidates: Sequence[RemoteCandidate], arrived: Arrived) -> Sequence[Address]:
        for candidate in candidates:
            if candidate.protocol == "tcp" and await self._connect(candidate.address, arrived):
                return [candidate.address]
        raise NoPath("The SFU has no TCP candidate that takes our connection.")

    async def _connect(self, address: Address, arrived: Arrived) -> bool:
        try:
            opening = asyncio.open_connection(*address)
            reader, self._writer = await asyncio.wait_for(opening, _CONNECT_SECONDS)
        except (OSError, TimeoutError):
            return False
        self._reading = asyncio.create_task(_read_frames(reader, arrived))
        return True

    def send(self, packet: bytes, to: Address) -> None:
        if self._writer is not None and not self._writer.is_closing():
            self._writer.write(framed(packet))

    def close(self) -> None:
        if self._reading is not None:
            self._reading.cancel()
        if self._writer is not None:
            self._writer.close()


async def _read_frames(reader: asyncio.StreamReader, arrived: Arrived) -> None:
    frames = FrameReader()
    with contextlib.suppress(OSError, FrameTooLong):
        while data := await reader.read(65_536):
            for frame in frames.feed(data):
                arrived(frame)


@dataclass(slots=True)
class TurnPath:
    """Through a relay, to the UDP candidates of the SFU."""

    turn: Turn
    _transport: Any = None

    async def open(self, candidates: Sequence[RemoteCandidate], arrived: Arrived) -> Sequence[Address]:
        targets = [candidate.address for candidate in candidates if candidate.protocol == "udp"]
        if not targets:
            raise NoPath("The SFU has no UDP candidate for a relay.")
        self._transport = await allocate(self.turn, _Relayed(arrived))
        return targets

    def send(self, packet: bytes, to: Address) -> None:
        if self._transport is not None:
            self._transport.sendto(packet, to)

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()
            self._transport = None


async def allocate(turn: Turn, receiver: asyncio.DatagramProtocol) -> Any:
    """A transport whose datagrams go through this relay. Raises RelayRefuses and OSError."""
    try:
        transport, _ = await create_turn_endpoint(
            lambda: receiver,
            server_addr=(turn.host, turn.port),
            username=turn.username,
            password=turn.password,
            ssl=turn.tls,
            transport=turn.transport,
        )
    except TransactionError as error:
        raise RelayRefuses(error) from error
    return transport


@dataclass(slots=True)
class _Relayed(asyncio.DatagramProtocol):
    arrived: Arrived

    def datagram_received(self, data: bytes, addr: Any) -> None:
        self.arrived(data)


def path_for(way: Literal["udp", "tcp"] | Turn) -> Path:
    if isinstance(way, Turn):
        return TurnPath(way)
    return UdpPath() if way == "udp" else TcpPath()

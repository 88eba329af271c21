"""Ways to reach a peer: an address behind our UDP socket, or a TCP connection of his."""

from __future__ import annotations

import socket
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol

from voice.sfu.embedded.transport.addresses import SocketAddress, unmapped
from voice.sfu.embedded.transport.sendmmsg import packed_address
from voice.sfu.embedded.transport.srtp import ffi

if TYPE_CHECKING:
    from voice.sfu.embedded.transport.transport import Transport


class Path(Protocol):
    """Belongs to at most one transport: the one whose credentials were used on it last."""

    transport: Transport | None

    @property
    def protocol(self) -> Literal["udp", "tcp"]: ...

    @property
    def key(self) -> Hashable:
        """The same for the same path, within one port."""
        ...

    @property
    def host(self) -> str:
        """The peer's address as we see it, IPv4 as IPv4."""
        ...

    @property
    def port(self) -> int: ...

    def send(self, packet: bytes, *, droppable: bool) -> bool:
        """Now, by itself. False where it was dropped; what is not droppable is only when the path is broken."""
        ...

    def forget(self) -> None:
        """The transport no longer uses it."""
        ...


@dataclass(slots=True, eq=False)
class UdpPath:
    """Exists only after an authentic check from there."""

    address: SocketAddress
    transport: Transport | None
    _socket: socket.socket
    _packed: Any
    _forgotten: Callable[[UdpPath], None]
    pointer: int
    """Of the packed address, for sendmmsg. Valid as long as this object lives."""

    @property
    def protocol(self) -> Literal["udp", "tcp"]:
        return "udp"

    @property
    def key(self) -> Hashable:
        return self.address

    @property
    def host(self) -> str:
        return unmapped(self.address[0])

    @property
    def port(self) -> int:
        return self.address[1]

    def send(self, packet: bytes, *, droppable: bool) -> bool:
        try:
            self._socket.sendto(packet, self.address)
        except OSError:
            # STUN, DTLS and SCTP repeat what is lost, wherever that was.
            return False
        return True

    def forget(self) -> None:
        self.transport = None
        self._forgotten(self)


def udp_path(sock: socket.socket, address: SocketAddress, forgotten: Callable[[UdpPath], None]) -> UdpPath:
    packed = ffi.new("unsigned char[]", packed_address(sock.family, address))
    return UdpPath(address, None, sock, packed, forgotten, int(ffi.cast("uintptr_t", packed)))

"""ICE over TCP (RFC 6544, passive): for networks that let no UDP out."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from itertools import count
from typing import TYPE_CHECKING, Any, Literal, cast

from voice.sfu.embedded.transport.addresses import unmapped
from voice.sfu.embedded.transport.framing import FrameReader, FrameTooLong, framed
from voice.sfu.embedded.transport.limits import (
    MAX_TCP_BACKLOG,
    MAX_TCP_CONNECTIONS,
    MAX_TCP_PER_ADDRESS,
    MAX_TCP_STRANGERS,
    TCP_SILENT_SECONDS,
    TCP_STRANGER_SECONDS,
)

if TYPE_CHECKING:
    from voice.sfu.embedded.transport.transport import Transport

FrameHandler = Callable[[bytes, "TcpPath"], None]


@dataclass(slots=True, eq=False)
class TcpPath(asyncio.Protocol):
    """One connection. `eq=False`: a key of dictionaries by itself."""

    _listener: TcpListener
    transport: Transport | None = None
    host: str = ""
    port: int = 0
    since: int = field(default_factory=count().__next__)
    """The order in which connections came."""
    _wire: asyncio.Transport | None = None
    _reader: FrameReader = field(default_factory=FrameReader)
    _timer: asyncio.TimerHandle | None = None
    _heard: bool = False

    @property
    def protocol(self) -> Literal["udp", "tcp"]:
        return "tcp"

    @property
    def key(self) -> Hashable:
        return self

    def send(self, packet: bytes, *, droppable: bool) -> bool:
        wire = self._wire
        if wire is None or wire.is_closing():
            return False
        waiting = wire.get_write_buffer_size()
        if waiting > MAX_TCP_BACKLOG and droppable:
            return False
        if waiting > 2 * MAX_TCP_BACKLOG:
            # He reads nothing and keeps asking for answers.
            wire.abort()
            return False
        wire.write(framed(packet))
        return True

    def forget(self) -> None:
        """A connection without a transport has no purpose; what was written to it still leaves."""
        self.transport = None
        if self._wire is not None:
            self._wire.close()

    def abort(self) -> None:
        if self._wire is not None:
            self._wire.abort()

    # --- asyncio.Protocol ----------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._wire = cast(asyncio.Transport, transport)
        address = self._wire.get_extra_info("peername") or ("", 0)
        self.host, self.port = unmapped(address[0]), address[1]
        if not self._listener.admits(self):
            self._wire.abort()
            return
        self._arm(TCP_STRANGER_SECONDS)

    def data_received(self, data: bytes) -> None:
        self._heard = True
        try:
            for frame in self._reader.feed(data):
                if self._wire is None or self._wire.is_closing():
                    return
                self._listener.on_frame(frame, self)
        except FrameTooLong:
            self.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        self._wire = None
        if self._timer is not None:
            self._timer.cancel()
        self._listener.left(self)
        if self.transport is not None:
            transport, self.transport = self.transport, None
            transport.path_lost(self)

    # --- patience ------------------------------------------------------------------------------------------------

    def _arm(self, seconds: float) -> None:
        self._timer = asyncio.get_running_loop().call_later(seconds, self._look)

    def _look(self) -> None:
        """Strangers have had their time; the others must have said something since the last look."""
        if self.transport is None or not self._heard:
            self.abort()
            return
        self._heard = False
        self._arm(TCP_SILENT_SECONDS)


@dataclass(slots=True, eq=False)
class TcpListener:
    """All connections of a port, in bounds."""

    on_frame: FrameHandler
    _server: asyncio.Server | None = None
    _paths: set[TcpPath] = field(default_factory=set)
    _by_host: Counter[str] = field(default_factory=Counter)

    def __len__(self) -> int:
        return len(self._paths)

    def admits(self, path: TcpPath) -> bool:
        if len(self._paths) >= MAX_TCP_CONNECTIONS or self._by_host[path.host] >= MAX_TCP_PER_ADDRESS:
            return False
        strangers = [known for known in self._paths if known.transport is None]
        if len(strangers) >= MAX_TCP_STRANGERS:
            # Clients say who they are at once; whoever has waited longest is none.
            min(strangers, key=lambda known: known.since).abort()
        self._paths.add(path)
        self._by_host[path.host] += 1
        return True

    def left(self, path: TcpPath) -> None:
        if path not in self._paths:
            return
        self._paths.discard(path)
        self._by_host[path.host] -= 1
        if not self._by_host[path.host]:
            del self._by_host[path.host]

    async def listen(self, sock: Any) -> None:
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: TcpPath(self), sock=sock, backlog=256)

    def close(self) -> None:
        if self._server is not None:
            self._server.close()
        for path in list(self._paths):
            path.forget()

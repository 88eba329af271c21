"""One WebSocket of one client: binary protobuf both ways."""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass, field
from typing import Any

from aiohttp import WSMsgType, web
from google.protobuf.message import DecodeError
from livekit.protocol import rtc

from voice.sfu.embedded.rooms.clock import Clock
from voice.sfu.embedded.rooms.leaving import MISBEHAVED
from voice.sfu.embedded.rooms.limits import RoomLimits
from voice.sfu.embedded.rooms.rate import Rate
from voice.sfu.embedded.rooms.session import Session

GOODBYE_S = 5
"""So long a client has to read the last messages and close."""


@dataclass(slots=True, eq=False)
class Connection:
    """A Signal. What waits for a client is bounded: who does not read is cut off, and may come back."""

    request: web.Request
    socket: web.WebSocketResponse
    limits: RoomLimits
    clock: Clock
    _waiting: deque[bytes] = field(default_factory=deque)
    _waiting_bytes: int = 0
    _wake: asyncio.Event = field(default_factory=asyncio.Event)
    _ending: bool = False

    # --- Signal ------------------------------------------------------------------------------------------------

    def send(self, **message: Any) -> None:
        self.send_packed(rtc.SignalResponse(**message).SerializeToString())

    def send_packed(self, packed: bytes) -> None:
        if self._ending:
            return
        self._waiting.append(packed)
        self._waiting_bytes += len(packed)
        if len(self._waiting) > self.limits.queued_messages or self._waiting_bytes > self.limits.queued_bytes:
            self._cut()
        self._wake.set()

    def close(self) -> None:
        if not self._ending:
            self._ending = True
            self._wake.set()
            asyncio.get_running_loop().call_later(GOODBYE_S, self._abort)  # it may be dead, and never read its goodbye

    def _cut(self) -> None:
        self._waiting.clear()
        self._ending = True
        self._abort()

    def _abort(self) -> None:
        if self.request.transport is not None:
            self.request.transport.abort()

    # --- writing -----------------------------------------------------------------------------------------------

    async def write(self) -> None:
        """Until the end of the connection."""
        try:
            while not (self._ending and not self._waiting):
                await self._wake.wait()
                self._wake.clear()
                await self._write_waiting()
            await self.socket.close()
        except ConnectionError:
            pass  # the reading side ends with it

    async def _write_waiting(self) -> None:
        while self._waiting:
            packed = self._waiting.popleft()
            self._waiting_bytes -= len(packed)
            await self.socket.send_bytes(packed)

    # --- reading -----------------------------------------------------------------------------------------------

    async def read(self, session: Session) -> None:
        """Hand every request to the session, until the client goes or misbehaves."""
        limits = self.limits
        requests = Rate(limits.requests_per_second, limits.request_burst)
        size = Rate(limits.request_bytes_per_second, limits.request_bytes_burst)
        async for message in self.socket:
            if self._ending:
                return
            request, now = _request(message), self.clock.monotonic_ms()
            if request is None or not requests.take(now) or not size.take(now, len(message.data)):
                session.end(MISBEHAVED)
                return
            session.handle(request)
            # Messages that are here already are read without waiting: media must get its turn between them.
            await asyncio.sleep(0)


def _request(message: Any) -> Any:
    """None where it is no SignalRequest."""
    if message.type is not WSMsgType.BINARY:
        return None
    request = rtc.SignalRequest()
    try:
        request.ParseFromString(message.data)
    except DecodeError:
        return None
    return request

"""LiveKit's signalling, protocol v1, as a client speaks it: protobuf in the frames of one WebSocket."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import gzip
import socket
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import aiohttp
from google.protobuf.message import DecodeError
from livekit.protocol import models, rtc

PROTOCOL = 16
_MAX_MESSAGE = 4 * 1024 * 1024


class Refused(Exception):  # noqa: N818 - it is a verdict, and reads like one
    """The SFU does not take the WebSocket; `status` is its HTTP answer, 0 where there was none."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(f"{status} {text}")
        self.status = status


def join_request(offer: str, *, offer_id: int, auto_subscribe: bool, resume_sid: str = "") -> Any:
    return rtc.JoinRequest(
        client_info=models.ClientInfo(sdk=models.ClientInfo.PYTHON, protocol=PROTOCOL, version="1.0.0"),
        connection_settings=rtc.ConnectionSettings(auto_subscribe=auto_subscribe),
        publisher_offer=rtc.SessionDescription(type="offer", sdp=offer, id=offer_id) if offer else None,
        reconnect=bool(resume_sid),
        participant_sid=resume_sid,
    )


@dataclass(slots=True)
class Signalling:
    """One WebSocket; messages are given to `on_message` in the order they come."""

    http: aiohttp.ClientSession
    on_message: Callable[[Any], None]
    on_closed: Callable[[], None]
    _socket: aiohttp.ClientWebSocketResponse | None = None
    _reading: asyncio.Task[None] | None = None
    _pinging: asyncio.Task[None] | None = None
    _outbox: asyncio.Task[None] | None = None

    async def open(self, url: str, token: str, request: Any) -> None:
        """Join; raises Refused."""
        address = url.rstrip("/") + "/rtc/v1"
        try:
            # In a header, so that no log of a proxy has it.
            self._socket = await self.http.ws_connect(
                address,
                params={"join_request": _packed(request)},
                headers={"Authorization": f"Bearer {token}"},
                max_msg_size=_MAX_MESSAGE,
            )
        except aiohttp.WSServerHandshakeError as error:
            raise Refused(error.status, error.message) from error
        except (aiohttp.ClientError, OSError) as error:
            raise Refused(0, str(error)) from error
        self._reading = asyncio.create_task(self._read(self._socket))

    def send(self, **fields: Any) -> None:
        """A SignalRequest with this one field; lost where the socket is not open, as it would be on its way."""
        if self._socket is not None and not self._socket.closed:
            payload = rtc.SignalRequest(**fields).SerializeToString()
            self._outbox = asyncio.create_task(_after(self._outbox, self._socket, payload))

    def keep_alive(self, seconds: float) -> None:
        """Ping so often; the join response says how."""
        if self._pinging is None:
            self._pinging = asyncio.create_task(self._ping(max(seconds, 0.1)))

    async def flush(self) -> None:
        """Until everything is sent."""
        if self._outbox is not None:
            await self._outbox

    async def close(self) -> None:
        self.freeze()
        if self._socket is not None:
            await self._socket.close()

    def drop(self) -> None:
        """Break the connection without a word, as a proxy does that restarts."""
        self.freeze()
        broken, self._socket = self._socket, None
        connection = broken.get_extra_info("socket") if broken is not None else None
        if connection is not None:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def freeze(self) -> None:
        """Neither read nor write any more, as a machine does whose plug was pulled."""
        for task in (self._pinging, self._reading):
            if task is not None:
                task.cancel()
        self._pinging = None

    async def _ping(self, seconds: float) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(seconds)
            self.send(ping_req=rtc.Ping(timestamp=int(loop.time() * 1000)))

    async def _read(self, source: aiohttp.ClientWebSocketResponse) -> None:
        async for message in source:
            if message.type == aiohttp.WSMsgType.BINARY:
                response = rtc.SignalResponse()
                try:
                    response.ParseFromString(message.data)
                except DecodeError:
                    continue
                self.on_message(response)
        self.on_closed()


def _packed(request: Any) -> str:
    """Compressed, for it is part of a URL, and descriptions are long and repeat themselves."""
    zipped = gzip.compress(request.SerializeToString(), mtime=0)
    wrapped = rtc.WrappedJoinRequest(compression=rtc.WrappedJoinRequest.GZIP, join_request=zipped)
    return base64.urlsafe_b64encode(wrapped.SerializeToString()).decode()


async def _after(earlier: asyncio.Task[None] | None, sink: aiohttp.ClientWebSocketResponse, payload: bytes) -> None:
    if earlier is not None and not earlier.done():
        await earlier
    try:
        await sink.send_bytes(payload)
    except (ConnectionError, aiohttp.ClientError):
        return

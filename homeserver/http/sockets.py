"""WebSockets of endpoints with `websocket=True`: when they open, and how they end."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import Final

from aiohttp import WSCloseCode, web

from homeserver.http.responses import Socket
from homeserver.protocol import errors

log = logging.getLogger(__name__)

# What a client that does not answer a goodbye may cost when the server stops.
CLOSE_TIMEOUT_S: Final = 2.0


class OpenSocket(web.WebSocketResponse):
    """The answer 101, and the conversation that follows it."""

    def __init__(self, socket: Socket) -> None:
        # Pings are for the other end as well: handed on, not answered here. Compression would be done twice.
        super().__init__(
            timeout=CLOSE_TIMEOUT_S,
            autoclose=False,
            autoping=False,
            compress=False,
            max_msg_size=socket.max_message_bytes,
        )
        self._answer = socket

    async def converse(self) -> None:
        """Raises nothing: whatever happens, the client is told that it is over."""
        code, text = WSCloseCode.GOING_AWAY, b"the server stops"
        try:
            await self._answer.talk(self)
            code, text = WSCloseCode.OK, b""
        except asyncio.CancelledError:
            pass  # the server stops, or the client is gone; either way the end of this task is near
        except ConnectionError:
            pass
        except Exception:
            log.exception("a WebSocket failed")
            code, text = WSCloseCode.INTERNAL_ERROR, b"internal error"
        with contextlib.suppress(ConnectionError):
            await self.close(code=code, message=text)


def check_opens_socket(http: web.BaseRequest) -> None:
    """Raises Unrecognized for an ordinary request to a WebSocket's path."""
    if not web.WebSocketResponse().can_prepare(http):
        raise errors.Unrecognized("This endpoint is a WebSocket")


async def open_socket(http: web.BaseRequest, socket: Socket) -> OpenSocket:
    """The status line and headers; what is said follows in `converse`."""
    response = OpenSocket(socket)
    try:
        await response.prepare(http)
    except BaseException:
        await socket.abandon()
        raise
    return response

"""Hands on what two WebSockets say to each other, frame by frame: pings, closing codes and reasons too."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass
from typing import Final

from aiohttp import ClientWebSocketResponse, WSCloseCode, WSMessage, WSMsgType, web

End = web.WebSocketResponse | ClientWebSocketResponse

# Nothing is kept here beyond one frame each way: who does not read stops the other side, and for so long only.
SEND_PATIENCE_S: Final = 20.0
# RFC 6455 section 7.4.1: stand for "no code" and "no goodbye", and are never sent.
_UNSENDABLE: Final = (WSCloseCode.ABNORMAL_CLOSURE, 1005, 1015)


JOIN_ANEW: Final = b"\x42\x06\x08\x01\x10\x03\x18\x02"
"""LiveKit's SignalResponse with a LeaveRequest: can_reconnect, SERVER_SHUTDOWN, RECONNECT."""


@dataclass(frozen=True, slots=True)
class Goodbye:
    """How one side ended."""

    code: int
    reason: bytes


# Clients of LiveKit take this for "come again", which is what we want of them.
WORKER_GONE: Final = Goodbye(WSCloseCode.SERVICE_RESTART, b"the voice worker is gone")


async def relay(client: End, worker: End) -> None:
    """Until one side ends; then the other one ends in the same way."""
    upwards = asyncio.create_task(_hand_on(client, worker))
    downwards = asyncio.create_task(_hand_on(worker, client))
    try:
        await asyncio.wait((upwards, downwards), return_when=asyncio.FIRST_COMPLETED)
        goodbye = _goodbye_of(upwards, downwards)
        worker_died = goodbye is WORKER_GONE and downwards.done() and downwards.exception() is None
    finally:
        for task in (upwards, downwards):
            task.cancel()
        await asyncio.gather(upwards, downwards, return_exceptions=True)
    if worker_died:
        await _send_away(client)
    await asyncio.gather(_end(client, goodbye), _end(worker, goodbye))


async def _send_away(client: End) -> None:
    """Otherwise a client first tries to go on with a session that nobody knows, and then waits for seconds."""
    with contextlib.suppress(ConnectionError, TimeoutError):
        async with asyncio.timeout(SEND_PATIENCE_S):
            await client.send_bytes(JOIN_ANEW)


def _goodbye_of(*tasks: asyncio.Task[Goodbye | None]) -> Goodbye:
    for task in tasks:
        if task.done() and task.exception() is None:
            goodbye = task.result()
            if goodbye is not None:
                return goodbye
    return WORKER_GONE


async def _end(end: End, goodbye: Goodbye) -> None:
    await end.close(code=goodbye.code, message=goodbye.reason)


async def _hand_on(source: End, sink: End) -> Goodbye | None:
    """Until the source ends; None where it did so without a word."""
    while True:
        message = await source.receive()
        match message.type:
            case WSMsgType.CLOSE:
                return _read_goodbye(message)
            case WSMsgType.CLOSING | WSMsgType.CLOSED | WSMsgType.ERROR:
                return None
            case _:
                async with asyncio.timeout(SEND_PATIENCE_S):
                    await _send(sink, message)


async def _send(sink: End, message: WSMessage) -> None:
    match message.type:
        case WSMsgType.BINARY:
            await sink.send_bytes(message.data)
        case WSMsgType.TEXT:
            await sink.send_str(message.data)
        case WSMsgType.PING:
            await sink.ping(message.data)
        case WSMsgType.PONG:
            await sink.pong(message.data)


def _read_goodbye(message: WSMessage) -> Goodbye | None:
    code = message.data or WSCloseCode.OK
    return None if code in _UNSENDABLE else Goodbye(code, (message.extra or "").encode())

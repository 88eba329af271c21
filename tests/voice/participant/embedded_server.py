"""An embedded SFU on ports of its own, in the loop of the test."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from aiohttp import web

from voice import tokens
from voice.participant import Behaviour, Participant
from voice.participant.participant import Way
from voice.sfu.backend import Grant, RoomOptions
from voice.sfu.embedded.rooms.server import RoomServer
from voice.sfu.embedded.signalling.application import REQUEST_LINE_LIMIT, build_signalling
from voice.sfu.embedded.transport import open_media_port

KEY, SECRET, ROOM = "devkey", "a-secret-of-more-than-thirty-two-bytes", "the room"


@dataclass(slots=True)
class EmbeddedServer:
    rooms: RoomServer
    url: str

    def participant(self, name: str, path: Way = "udp", behaviour: Behaviour | None = None) -> Participant:
        token = tokens.mint(KEY, SECRET, Grant(room=ROOM, identity=name), time.time())
        return Participant(self.url, token, path, behaviour or Behaviour())


@asynccontextmanager
async def embedded_server(
    loss: Callable[[], bool] | None = None, seats: int = 50, advertise: Sequence[str] = ()
) -> AsyncIterator[EmbeddedServer]:
    port = await open_media_port("127.0.0.1", 0, advertise, loss=loss)
    rooms = RoomServer(port, {KEY: SECRET})
    rooms.start()
    rooms.ensure_room(ROOM, RoomOptions(max_participants=seats))
    runner = web.AppRunner(
        build_signalling(rooms), max_line_size=REQUEST_LINE_LIMIT, access_log=None, shutdown_timeout=0.1
    )
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield EmbeddedServer(rooms, f"ws://127.0.0.1:{runner.addresses[0][1]}")
    finally:
        await rooms.stop()
        port.close()
        await runner.cleanup()

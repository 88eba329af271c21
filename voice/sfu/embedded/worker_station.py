"""All that one worker is, without its process: media port, rooms, signalling."""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass
from typing import Final

from aiohttp import web

from voice.sfu.backend import SfuListener
from voice.sfu.embedded.control import Address, Configure, Ready, Result, Verb
from voice.sfu.embedded.rooms.server import RoomServer
from voice.sfu.embedded.signalling.application import REQUEST_LINE_LIMIT, build_signalling
from voice.sfu.embedded.transport import open_media_port
from voice.sfu.embedded.transport.port import Port
from voice.sfu.embedded.worker_verbs import perform

_GOODBYE_S: Final = 2.0
_BACKLOG: Final = 1024
_LOOPBACK: Final = "127.0.0.1"


@dataclass(slots=True, eq=False)
class Station:
    """Open: it takes clients."""

    port: Port
    rooms: RoomServer
    ready: Ready
    _runner: web.AppRunner

    def perform(self, verb: Verb) -> Result:
        return perform(verb, self.rooms, self.port)

    async def close(self) -> None:
        """Everybody is told to join anew; messages that are on their way get a moment to arrive."""
        await self.rooms.stop()
        await self._runner.cleanup()
        self.port.close()
        _unlink(self.ready.signalling.path)


async def open_station(configuration: Configure, listener: SfuListener) -> Station:
    """Raises OSError where the media port is taken, or the address not ours."""
    port = await open_media_port(configuration.bind, configuration.port, configuration.advertise)
    try:
        return await _open_above(port, configuration, listener)
    except BaseException:
        port.close()
        raise


async def _open_above(port: Port, configuration: Configure, listener: SfuListener) -> Station:
    rooms = RoomServer(
        port,
        {configuration.api_key: configuration.api_secret},
        default_options=configuration.options,
        top_speakers=configuration.top_speakers,
        top_speakers_above=configuration.top_speakers_above,
        turn=configuration.turn,
    )
    rooms.on_event(listener)
    # aiohttp's own access log would show the tokens of query strings.
    runner = web.AppRunner(
        build_signalling(rooms), access_log=None, max_line_size=REQUEST_LINE_LIMIT, shutdown_timeout=_GOODBYE_S
    )
    await runner.setup()
    signalling = await _listen(runner, configuration.socket_path)
    rooms.start()
    first = port.candidates[0]
    addresses = tuple(dict.fromkeys(candidate.address for candidate in port.candidates))
    return Station(port, rooms, Ready(first.port, addresses, signalling), runner)


async def _listen(runner: web.AppRunner, path: str) -> Address:
    if path:
        _unlink(path)
        await web.UnixSite(runner, path, backlog=_BACKLOG).start()
        return Address(path=path)
    await web.TCPSite(runner, _LOOPBACK, 0, backlog=_BACKLOG).start()
    return Address(port=runner.addresses[0][1])


def _unlink(path: str) -> None:
    with contextlib.suppress(FileNotFoundError):
        if path:
            os.unlink(path)

"""The process of one worker: `python -m voice.sfu.embedded.worker FD PARENT`.

FD is its end of the control connection, PARENT the homeserver's process id. Nothing secret is on the command line or in
the environment. It ends when the homeserver says so, and when the homeserver is no longer there.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import faulthandler
import logging
import os
import signal
import socket
import sys
from typing import Final

from voice.sfu.embedded import control, worker_garbage
from voice.sfu.embedded.control import Failed, LogLine, Reply, Stop
from voice.sfu.embedded.control_channel import Channel, open_channel
from voice.sfu.embedded.worker_garbage import Garbage
from voice.sfu.embedded.worker_outbox import Outbox, OutboxFull
from voice.sfu.embedded.worker_station import Station, open_station

_log = logging.getLogger(__name__)

_PR_SET_PDEATHSIG: Final = 1
_NICENESS: Final = -10
_LONGEST_LINE: Final = 8_000


def main() -> None:
    faulthandler.enable()
    die_with(int(sys.argv[2]))
    take_precedence()
    with asyncio.Runner(loop_factory=_new_loop) as runner:
        runner.run(_work(int(sys.argv[1])))


def die_with(parent: int) -> None:
    """Where the system has no such signal, the end of the control connection is the end of the worker."""
    if sys.platform.startswith("linux"):
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)
    if os.getppid() != parent:
        sys.exit("the homeserver died before its worker began")


def take_precedence() -> None:
    """Sound is late when it waits for a processor. Allowed as root, or with LimitNICE of systemd; else as everybody."""
    if hasattr(os, "setpriority"):
        with contextlib.suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, 0, min(_NICENESS, os.getpriority(os.PRIO_PROCESS, 0)))


def _new_loop() -> asyncio.AbstractEventLoop:
    if sys.platform == "win32":
        return asyncio.new_event_loop()
    import uvloop

    return uvloop.new_event_loop()


async def _work(descriptor: int) -> None:
    channel = await open_channel(socket.socket(fileno=descriptor))
    outbox = Outbox(channel)
    _log_to(outbox)
    try:
        configuration = control.read_configure(await channel.receive())
    except EOFError:
        return  # the homeserver stopped before we began
    try:
        station = await open_station(configuration, lambda event: outbox.tell(control.told(event)))
    except OSError as error:
        channel.send(control.encode(Failed(error.strerror or str(error), error.errno or 0)))
        await channel.drain()
        return
    channel.send(control.encode(station.ready))
    worker_garbage.begin()
    await _serve(channel, outbox, station)


async def _serve(channel: Channel, outbox: Outbox, station: Station) -> None:
    """Until the homeserver says so, is gone or does not listen, or somebody sends SIGTERM."""
    tasks = [asyncio.create_task(_obey(channel, outbox, station)), asyncio.create_task(outbox.write())]
    garbage = Garbage(lambda: station.port.counters.sent)
    tasks.append(asyncio.create_task(garbage.watch()))
    terminated = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, terminated.set)
    tasks.append(asyncio.create_task(_wait_for(terminated)))
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        _explain(done)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await station.close()
        with contextlib.suppress(ConnectionError, OutboxFull):
            await outbox.flush()


async def _wait_for(event: asyncio.Event) -> None:
    await event.wait()


def _explain(done: set[asyncio.Task[None]]) -> None:
    for task in done:
        error = task.exception()
        if error is not None and not isinstance(error, (EOFError, ConnectionError)):
            _log.error("the worker ends: %r", error)


async def _obey(channel: Channel, outbox: Outbox, station: Station) -> None:
    """Raises EOFError when the homeserver is gone."""
    while True:
        request = control.read_request(await channel.receive())
        if isinstance(request.verb, Stop):
            return
        try:
            result = station.perform(request.verb)
        except Exception:
            _log.exception("%s failed", type(request.verb).__name__)
            result = control.Result(refused="The worker has a fault; its log says more")
        outbox.reply(Reply(request.id, result))


# --- the log ---------------------------------------------------------------------------------------------------------


class _ToHomeserver(logging.Handler):
    def __init__(self, outbox: Outbox) -> None:
        super().__init__()
        self._outbox = outbox

    def emit(self, record: logging.LogRecord) -> None:
        """In the loop's thread; nothing here logs from another one."""
        self._outbox.log(LogLine(record.levelno, record.name, self.format(record)[:_LONGEST_LINE]))


def _log_to(outbox: Outbox) -> None:
    root = logging.getLogger()
    root.addHandler(_ToHomeserver(outbox))
    root.setLevel(logging.INFO)
    logging.getLogger("asyncio").setLevel(logging.WARNING)


if __name__ == "__main__":
    main()

"""One running worker process, seen from the homeserver: how it is started, asked, watched and ended."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
import os
import socket
import sys
from asyncio.subprocess import DEVNULL, Process
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import voice
from voice.sfu.backend import SfuListener, SfuUnavailable
from voice.sfu.embedded import control
from voice.sfu.embedded.control import (
    Address,
    BadMessage,
    Configure,
    Count,
    Failed,
    LogLine,
    Numbers,
    Ready,
    Reply,
    Report,
    Request,
    Result,
    Stop,
    Verb,
)
from voice.sfu.embedded.control_channel import Channel, open_channel

_log = logging.getLogger(__name__)

START_S: Final = 30.0
ANSWER_S: Final = 2.0
MOST_REQUESTS: Final = 10_000
LOOK_EVERY_S: Final = 5.0
LOOK_PATIENCE_S: Final = 5.0
MISSES: Final = 2
"""Two, because one is also missed by a homeserver that was stopped itself, with the answer unread."""
GOODBYE_S: Final = 4.0
_KEPT_VARIABLES: Final = ("PATH", "LANG", "LC_ALL", "TMPDIR", "LD_LIBRARY_PATH")


class WorkerFailed(Exception):  # noqa: N818 - it is a state, and reads like one
    """It did not start. `errno` 0 where the system did not say why."""

    def __init__(self, text: str, errno: int = 0) -> None:
        super().__init__(text)
        self.errno = errno


@dataclass(slots=True, eq=False)
class Child:
    """A worker that is ready; it is heard from `start` on."""

    number: int
    process: Process
    channel: Channel
    ready: Ready
    listener: SfuListener
    numbers: Numbers = field(default_factory=Numbers)
    """As of the last look."""
    _waiting: dict[int, asyncio.Future[Result]] = field(default_factory=dict)
    _ids: Iterator[int] = field(default_factory=itertools.count)
    _hearing: asyncio.Task[None] | None = None

    @property
    def signalling(self) -> Address:
        return self.ready.signalling

    async def ask(self, verb: Verb, patience_s: float = ANSWER_S) -> Result:
        """Raises SfuUnavailable where it does not answer in time, or refuses."""
        if len(self._waiting) >= MOST_REQUESTS:
            raise SfuUnavailable(f"Voice worker {self.number} does not answer")
        request = Request(next(self._ids), verb)
        answer: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        self._waiting[request.id] = answer
        try:
            self.channel.send(control.encode(request))
            async with asyncio.timeout(patience_s):
                result = await answer
        except (TimeoutError, ConnectionError):
            raise SfuUnavailable(f"Voice worker {self.number} does not answer") from None
        finally:
            self._waiting.pop(request.id, None)
        if result.refused:
            raise SfuUnavailable(result.refused)
        return result

    def start(self) -> None:
        self._hearing = asyncio.create_task(self._run(), name=f"voice-worker-{self.number}-control")

    async def over(self) -> None:
        """Wait until it is gone; afterwards there is no process."""
        assert self._hearing is not None
        await asyncio.shield(self._hearing)

    async def _run(self) -> None:
        watch = asyncio.create_task(self._watch())
        try:
            await self._hear()
        finally:
            watch.cancel()
            await self._bury()

    async def _hear(self) -> None:
        try:
            while True:
                self._take(control.read_report(await self.channel.receive()))
        except (EOFError, ConnectionError):
            return
        except BadMessage as error:
            _log.error("voice worker %d says what nobody understands: %s", self.number, error)

    def _take(self, report: Report) -> None:
        match report:
            case Reply(id=number, result=result):
                answer = self._waiting.get(number)
                if answer is not None and not answer.done():
                    answer.set_result(result)
            case LogLine(level=level, name=name, text=text):
                logging.getLogger(f"{name}.{self.number}").log(level, "%s", text)
            case Ready() | Failed():
                raise BadMessage("a second beginning")
            case event:
                self.listener(control.event_of(event))

    async def _watch(self) -> None:
        """A worker that hangs is ended, as it forwards nothing either."""
        missed = 0
        while missed < MISSES:
            await asyncio.sleep(LOOK_EVERY_S)
            try:
                await self.look(LOOK_PATIENCE_S)
                missed = 0
            except SfuUnavailable:
                missed += 1
        _log.error("voice worker %d hangs and is ended", self.number)
        self.kill()

    async def look(self, patience_s: float = ANSWER_S) -> Numbers:
        """Fresh numbers. Raises SfuUnavailable."""
        result = await self.ask(Count(), patience_s)
        self.numbers = result.numbers or self.numbers
        return self.numbers

    def kill(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            self.process.kill()

    async def stop(self) -> None:
        """Let it say goodbye."""
        with contextlib.suppress(ConnectionError):
            self.channel.send(control.encode(Request(next(self._ids), Stop())))
        try:
            async with asyncio.timeout(GOODBYE_S):
                await self.process.wait()
        except TimeoutError:
            self.kill()
        await self.over()

    async def _bury(self) -> None:
        for answer in self._waiting.values():
            if not answer.done():
                answer.set_result(Result(refused=f"Voice worker {self.number} is gone"))
        self.channel.close()
        # It may have ended its side only: what does not speak to us any more is not to forward either.
        try:
            async with asyncio.timeout(GOODBYE_S):
                await self.process.wait()
        except TimeoutError:
            self.kill()
            await self.process.wait()


@dataclass(frozen=True, slots=True)
class Spawned:
    """A process that has loaded its program, or is about to, and has been told nothing yet."""

    process: Process
    channel: Channel

    async def end(self) -> None:
        self.channel.close()
        await _end(self.process)


async def spawn() -> Spawned:
    """Raises WorkerFailed."""
    ours, theirs = socket.socketpair()
    try:
        process = await _surely(asyncio.ensure_future(_spawn(theirs)))
    except OSError as error:
        ours.close()
        raise WorkerFailed(f"The process of a voice worker cannot be made: {error}", error.errno or 0) from error
    except BaseException:
        ours.close()
        raise
    finally:
        theirs.close()
    return Spawned(process, await open_channel(ours))


async def employ(spawned: Spawned, number: int, configuration: Configure, listener: SfuListener) -> Child:
    """Make it the worker of this number. Raises WorkerFailed; then the process is gone."""
    try:
        async with asyncio.timeout(START_S):
            ready = await _introduced(spawned.channel, configuration)
    except BaseException as error:
        await spawned.end()
        if isinstance(error, TimeoutError):
            raise WorkerFailed("A voice worker does not become ready") from None
        raise
    return Child(number, spawned.process, spawned.channel, ready, listener)


async def _surely(spawning: asyncio.Future[Process]) -> Process:
    """Who is cancelled while the process is made ends it again: otherwise nobody would know of it."""
    try:
        return await asyncio.shield(spawning)
    except asyncio.CancelledError:
        await _end(await spawning)
        raise


async def _end(process: Process) -> None:
    with contextlib.suppress(ProcessLookupError):
        process.kill()
    await process.wait()


async def _spawn(end: socket.socket) -> Process:
    arguments = ("-P", "-m", "voice.sfu.embedded.worker", str(end.fileno()), str(os.getpid()))
    return await asyncio.create_subprocess_exec(
        sys.executable,
        *arguments,
        stdin=DEVNULL,
        stdout=DEVNULL,
        pass_fds=(end.fileno(),),
        # Ctrl-C in a terminal is for the homeserver, which lets its workers say goodbye.
        start_new_session=True,
        env=_environment(),
    )


def _environment() -> Mapping[str, str]:
    """Of ours only what a program needs to run: variables may hold secrets of the configuration."""
    kept = {name: os.environ[name] for name in _KEPT_VARIABLES if name in os.environ}
    return {**kept, "PYTHONPATH": str(Path(voice.__file__).parent.parent)}


async def _introduced(channel: Channel, configuration: Configure) -> Ready:
    channel.send(control.encode(configuration))
    try:
        while True:
            report = control.read_report(await channel.receive())
            match report:
                case Ready():
                    return report
                case Failed(text=text, errno=errno):
                    raise WorkerFailed(text, errno)
                case LogLine(level=level, name=name, text=text):
                    logging.getLogger(name).log(level, "%s", text)
                case _:
                    raise WorkerFailed("A voice worker speaks before it is ready")
    except (EOFError, ConnectionError, BadMessage) as error:
        raise WorkerFailed("A voice worker ended at its start; standard error says why") from error

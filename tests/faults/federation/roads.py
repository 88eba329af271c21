"""The network between the servers: one way for each asker and each server asked, which can be cut.

A way is a TCP relay. While it is cut, nothing gets through and nobody is told: whoever connects waits, whoever has a
connection hears nothing more. When it is open again, some of the old connections go on where they were (as TCP does, which
sends again) and the others break; or all of them stay dead without a word, as where a firewall has forgotten them.
"""

from __future__ import annotations

import asyncio
import random
import threading
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field

LOOPBACK = "127.0.0.1"
PIECE = 64 * 1024
GOES_ON = 0.5
"""The share of connections that outlive a cut."""
THREAD_SECONDS = 10.0

Pair = tuple[str, str]
"""Asker and asked."""


@dataclass(slots=True)
class Road:
    """Connections that one server makes to another. Everything here runs in the thread of `Roads`."""

    asked_port: int
    chance: random.Random
    port: int = 0
    carried: int = 0
    """Bytes that the asked one has sent since `stop_answers_after`."""
    answer_limit: int | None = None
    _gate: asyncio.Event = field(default_factory=asyncio.Event)
    """Of all connections made since the last silent heal."""
    _server: asyncio.Server | None = None
    _connections: set[asyncio.Task[None]] = field(default_factory=set)

    async def start(self) -> None:
        self._gate.set()
        self._server = await asyncio.start_server(self._accepted, LOOPBACK, 0)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()
        for task in list(self._connections):
            task.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    def cut(self) -> None:
        self._gate.clear()

    @property
    def is_open(self) -> bool:
        return self._gate.is_set()

    def heal(self, silent: bool) -> None:
        """Connections that were made before, or tried meanwhile, go on or break; `silent`: they are dead."""
        self.answer_limit = None
        if self.is_open:
            return
        if silent:
            self._gate = asyncio.Event()
        else:
            self._break_some()
        self._gate.set()

    def _break_some(self) -> None:
        for task in list(self._connections):
            if self.chance.random() >= GOES_ON:
                task.cancel()

    def stop_answers_after(self, size: int) -> None:
        """So many more bytes of the asked one arrive; then the way is cut."""
        self.carried, self.answer_limit = 0, size

    async def _accepted(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        try:
            await self._connect(reader, writer, self._gate)
        except (asyncio.CancelledError, OSError):
            pass
        finally:
            self._connections.discard(task)
            writer.transport.abort()

    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, gate: asyncio.Event) -> None:
        await gate.wait()
        there_reader, there_writer = await asyncio.open_connection(LOOPBACK, self.asked_port)
        try:
            async with asyncio.TaskGroup() as both:
                both.create_task(self._carry(reader, there_writer, gate, self._asked))
                both.create_task(self._carry(there_reader, writer, gate, self._answered))
        except* OSError:
            await gate.wait()  # one end is gone; the other hears of that like of everything else
        finally:
            there_writer.transport.abort()

    async def _carry(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        gate: asyncio.Event,
        on_piece: Callable[[int], None],
    ) -> None:
        while True:
            piece = await reader.read(PIECE)
            on_piece(len(piece))
            await gate.wait()
            if not piece:
                with suppress(OSError, NotImplementedError):
                    writer.write_eof()
                return
            writer.write(piece)
            await writer.drain()

    def _asked(self, size: int) -> None:
        """What is asked is not counted."""

    def _answered(self, size: int) -> None:
        self.carried += size
        if self.answer_limit is not None and self.carried > self.answer_limit:
            self.cut()


@dataclass(slots=True)
class Roads:
    """All ways between servers. In a thread of its own: what a test does meanwhile holds up no packet."""

    chance: random.Random
    _roads: dict[Pair, Road] = field(default_factory=dict)
    _loop: asyncio.AbstractEventLoop = field(default_factory=asyncio.new_event_loop)
    _thread: threading.Thread | None = None

    def start(self, ports: dict[str, int]) -> None:
        """`ports`: where each server listens."""
        self._thread = threading.Thread(target=self._loop.run_forever, name="roads", daemon=True)
        self._thread.start()
        for asker in ports:
            for asked, port in ports.items():
                if asker != asked:
                    road = self._roads[(asker, asked)] = Road(port, random.Random(self.chance.random()))
                    self._run(road.start)

    def stop(self) -> None:
        for road in self._roads.values():
            self._run(road.stop)
        self._loop.call_soon_threadsafe(self._loop.stop)
        if self._thread is not None:
            self._thread.join(THREAD_SECONDS)
        self._loop.close()

    def ports_of(self, asker: str) -> dict[str, int]:
        """Where this server finds the others."""
        return {asked: road.port for (who, asked), road in self._roads.items() if who == asker}

    def part(self, *sides: Iterable[str]) -> None:
        """Nobody hears anything of those on another side."""
        groups = [set(side) for side in sides]
        apart = [road for pair, road in self._roads.items() if not any(set(pair) <= group for group in groups)]
        self._call(lambda: [road.cut() for road in apart])

    def heal(self, *, silent: bool = False) -> None:
        """All ways are open; `silent`: old connections are dead, and nobody was told."""
        self._call(lambda: [road.heal(silent) for road in self._roads.values()])

    def stop_answers_after(self, asker: str, asked: str, size: int) -> None:
        self._call(lambda: self._roads[(asker, asked)].stop_answers_after(size))

    def is_open(self, asker: str, asked: str) -> bool:
        """Not any more, once enough of the answers has arrived."""
        return self._roads[(asker, asked)].is_open

    def _call(self, what: Callable[[], object]) -> None:
        async def call() -> None:
            what()

        self._run(call)

    def _run(self, what: Callable[[], Awaitable[None]]) -> None:
        async def run() -> None:
            await what()

        asyncio.run_coroutine_threadsafe(run(), self._loop).result(THREAD_SECONDS)

"""A process of people: they join, talk on a schedule, and count what they hear. Told what to do through a pipe."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import socket
import struct
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from typing import Any

import aiohttp
import pylibsrtp
import uvloop

from bench.voice.load.packets_in import Counted, PacketsIn
from voice.participant.listening import STAMP_BYTES, payload_start, stamped
from voice.participant.participant import Behaviour, Participant
from voice.sfu.backend import Grant
from voice.tokens import mint

FRAME_SECONDS = 0.02
PAYLOAD = os.urandom(160)
"""20 ms at 64 kbit/s."""
_READ_SECONDS = 0.02
_REPORT_SECONDS = 5.0
"""What browsers take for audio alone."""
_MURMURS = 20
_AT_ONCE = 8
"""People of one process who join at the same time."""


@dataclass(frozen=True, slots=True)
class Person:
    room: str
    identity: str
    publishes: bool = False
    hears: int = 0
    """Tracks of others, once all are there."""


@dataclass(frozen=True, slots=True)
class Door:
    url: str
    key: str
    secret: str
    data: bool = True
    """Whether to offer a data channel (which nobody uses)."""


@dataclass(frozen=True, slots=True)
class Results:
    counted: Counted
    sent: int
    cpu_seconds: float
    negotiations: int


@dataclass(slots=True)
class _People:
    """In the process itself."""

    there: dict[str, Participant] = field(default_factory=dict)
    followed: dict[str, int] = field(default_factory=dict)
    """Tracks the last answer to each carried."""
    expected: dict[str, int] = field(default_factory=dict)
    talking: dict[str, float] = field(default_factory=dict)
    """Until whom each talks next."""
    http: aiohttp.ClientSession | None = None
    packets: PacketsIn | None = None
    _speaking: asyncio.Task[None] | None = None
    _cpu: float = 0.0
    _sent: int = 0
    _tasks: list[asyncio.Task[None]] = field(default_factory=list)

    # --- joining -----------------------------------------------------------------------------------------------

    async def join(self, door: Door, people: Sequence[Person], within: float) -> list[float]:
        """Seconds from the start to flowing media, of each. `within` 0: a few at a time, as fast as it goes."""
        self.http = self.http or aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0))
        few, joining = asyncio.Semaphore(_AT_ONCE if not within else len(people)), []
        for person in people:
            joining.append(asyncio.create_task(self._join(door, person, few)))
            await asyncio.sleep(within / len(people))
        took = await asyncio.gather(*joining)
        return list(took)

    async def _join(self, door: Door, person: Person, few: asyncio.Semaphore) -> float:
        async with few:
            participant = self._participant(door, person)
            begun = time.monotonic()
            await participant.connect(timeout=60)
            took = time.monotonic() - begun
            self.there[person.identity] = participant
            self.expected[person.identity] = person.hears
            if person.publishes:
                await participant.publish_audio(timeout=60)
            return took

    def _participant(self, door: Door, person: Person) -> Participant:
        sources = ("microphone",) if person.publishes else ()
        grant = Grant(person.room, person.identity, can_publish=person.publishes, sources=sources)  # type: ignore[arg-type]
        token = mint(door.key, door.secret, grant, time.time())
        behaviour = Behaviour(opens_packets=False, data_section=door.data)
        return Participant(
            door.url,
            token,
            behaviour=behaviour,
            http=self.http,
            on_signal=lambda said: self._note(person.identity, said),
        )

    def _note(self, identity: str, response: Any) -> None:
        if response.WhichOneof("message") == "answer":
            self.followed[identity] = len(response.answer.mid_to_track_id)

    async def settle(self, timeout: float) -> float:
        """Until everybody follows everybody; seconds it took."""
        begun = time.monotonic()
        while any(self.followed.get(identity, 0) < hears for identity, hears in self.expected.items()):
            self._murmur()
            if time.monotonic() - begun > timeout:
                missing = {
                    who: self.followed.get(who, 0) for who, n in self.expected.items() if self.followed.get(who, 0) < n
                }
                raise TimeoutError(f"{len(missing)} people do not follow everybody: {list(missing.items())[:5]}")
            await asyncio.sleep(0.05)
        return time.monotonic() - begun

    def _murmur(self) -> None:
        """LiveKit's server takes a track for published when its first packet comes."""
        for participant in self.there.values():
            if participant.tracks and participant.tracks[0].packets < _MURMURS:
                participant.send_packet(stamped(PAYLOAD, time.time_ns()), level=127)

    async def first_audio(self, door: Door, room: str, count: int) -> list[float]:
        """Seconds from the wish to join to the first packet of somebody who talks, one after another."""
        self.http = self.http or aiohttp.ClientSession()
        took = []
        for number in range(count):
            participant = self._participant(door, Person(room, f"newcomer{number}"))
            begun = time.monotonic_ns()
            await participant.connect(timeout=20)
            while not (moments := [stream.first_ns for stream in participant.streams.values() if stream.packets]):
                await asyncio.sleep(0.001)
            first = min(moments)
            took.append((first - begun) / 1e9)
            await participant.close()
            await asyncio.sleep(0.15)
        return took

    # --- talking -----------------------------------------------------------------------------------------------

    async def talk(self, identities: Sequence[str]) -> None:
        """These, and nobody else; each at a moment of his own within a frame."""
        now = time.monotonic()
        self.talking = {who: now + FRAME_SECONDS * n / len(identities) for n, who in enumerate(identities)}
        if self._speaking is None:
            self._speaking = asyncio.create_task(self._speak())
            self._tasks.append(self._speaking)

    async def _speak(self) -> None:
        while True:
            now = time.monotonic()
            for who, due in list(self.talking.items()):
                if due <= now:
                    participant = self.there[who]
                    participant.send_packet(stamped(PAYLOAD, time.time_ns()), level=25)
                    self.talking[who] = due + FRAME_SECONDS
                    self._sent += 1
            soonest = min(self.talking.values(), default=now + FRAME_SECONDS)
            await asyncio.sleep(max(0.0005, soonest - time.monotonic()))

    # --- counting ----------------------------------------------------------------------------------------------

    async def count(self) -> None:
        """From now on sockets are read in rounds, and not when something comes."""
        people = list(self.there.values())
        sockets = [_socket_in_use(person) for person in people]
        loop = asyncio.get_running_loop()
        for ours in sockets:
            loop.remove_reader(ours.fileno())
        self.packets = PacketsIn(
            sockets,
            lambda n, packet: _moment(people[n], packet),
            lambda n, packet: people[n]._connection._arrived(packet),
        )
        self._tasks.append(asyncio.create_task(self._read(self.packets, people)))

    async def _read(self, packets: PacketsIn, people: Sequence[Participant]) -> None:
        reporting = _spread(len(people), _REPORT_SECONDS / _READ_SECONDS)
        due = time.monotonic()
        while True:
            packets.read()
            for n in next(reporting):
                people[n]._connection.send_rtcp(_receiver_report(packets.heard(n)))
            due = max(due + _READ_SECONDS, time.monotonic())
            await asyncio.sleep(due - time.monotonic())

    async def begin(self) -> None:
        assert self.packets is not None
        self.packets.read()
        self.packets.counted()
        self._cpu, self._sent = time.process_time(), 0

    async def results(self) -> Results:
        assert self.packets is not None
        self.packets.read()
        negotiations = sum(person.statistics().negotiations for person in self.there.values())
        return Results(self.packets.counted(), self._sent, time.process_time() - self._cpu, negotiations)

    async def leave(self) -> None:
        for task in self._tasks:
            task.cancel()
        self._tasks.clear()
        await asyncio.gather(*(person.close() for person in self.there.values()), return_exceptions=True)
        self.there.clear()
        if self.http is not None:
            await self.http.close()


def _socket_in_use(person: Participant) -> socket.socket:
    """There may be one for each address family."""
    agent = person._connection._agent
    assert agent is not None
    assert agent.selected is not None
    family = socket.AF_INET6 if ":" in agent.selected[0] else socket.AF_INET
    return person._connection.path._sockets[family]  # type: ignore[attr-defined]


def _moment(person: Participant, packet: bytes) -> int | None:
    session = person._connection._in
    if session is None:
        return None
    try:
        plain = session.unprotect(packet)
    except pylibsrtp.Error:
        return None
    start = payload_start(plain)
    return int.from_bytes(plain[start : start + STAMP_BYTES], "big") if len(plain) >= start + STAMP_BYTES else None


def _spread(count: int, rounds: float) -> Iterator[range]:
    """All of them once in so many rounds."""
    done, share = 0.0, count / rounds
    while True:
        first, done = int(done), done + share
        yield range(first, min(int(done), count))
        if done >= count:
            done = 0.0


def _receiver_report(streams: Sequence[tuple[int, int, int]]) -> bytes:
    """RFC 3550 section 6.4.2, of up to 31 streams."""
    streams = streams[:31]
    head = struct.pack("!BBHI", 0x80 | len(streams), 201, 1 + 6 * len(streams), 1)
    blocks = (struct.pack("!IIIIII", ssrc, 0, highest & 0xFFFFFFFF, jitter, 0, 0) for ssrc, highest, jitter in streams)
    return head + b"".join(blocks)


# --- the process -----------------------------------------------------------------------------------------------------


def _main(pipe: Connection) -> None:
    uvloop.run(_obey(pipe))


async def _obey(pipe: Connection) -> None:
    people = _People()
    while (order := await asyncio.to_thread(pipe.recv)) is not None:
        verb, arguments = order
        try:
            pipe.send((await getattr(people, verb)(*arguments), None))
        except Exception as error:
            pipe.send((None, f"{verb}: {error!r}"))
    await people.leave()


class CrowdFailed(Exception):  # noqa: N818 - it is a verdict
    pass


@dataclass(slots=True)
class Crowd:
    """The process, from outside: every verb of `_People`, by name."""

    _pipe: Connection = field(init=False)
    _process: Any = field(init=False)

    def __post_init__(self) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=_main, args=(theirs,), daemon=True)
        self._process.start()
        theirs.close()

    async def do(self, verb: str, *arguments: Any) -> Any:
        """Raises CrowdFailed."""
        self._pipe.send((verb, arguments))
        result, failure = await asyncio.to_thread(self._pipe.recv)
        if failure is not None:
            raise CrowdFailed(failure)
        return result

    async def close(self) -> None:
        try:
            self._pipe.send(None)
        except OSError:
            return
        await asyncio.to_thread(self._process.join, 15)
        if self._process.is_alive():
            self._process.kill()

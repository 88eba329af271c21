"""A worker process under ten thousand kinds of nonsense, with a call going on in it: sound goes on, memory stays."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from collections.abc import AsyncIterator
from random import Random

import aiohttp
import psutil
import pylibsrtp
import pytest
from livekit.protocol import models, rtc

from tests.voice.hostile.nonsense import KINDS, request
from tests.voice.transport.test_transport_fuzz import garbage
from tests.voice.workers.exchange_of_processes import Workplace, worker_processes, workplace
from voice.participant import Behaviour, Participant
from voice.sfu.backend import Grant, RoomOptions

ROOM = "kitchen"
EVENTS = 10_000
GROWTH_BYTES = 24 << 20
PAYLOAD = b"\x78 an opus frame"


@pytest.fixture
async def place() -> AsyncIterator[Workplace]:
    async with workplace() as place:
        await place.backend.ensure_room(ROOM, RoomOptions())
        yield place


class Door:
    """HTTP to the signalling of the worker, which listens on a Unix socket."""

    def __init__(self, place: Workplace) -> None:
        (self._child,) = place.crew.running()
        self.place = place
        self.http = aiohttp.ClientSession(connector=aiohttp.UnixConnector(self._child.signalling.path, limit=0))

    @property
    def media_port(self) -> int:
        return self._child.ready.media_port

    def token(self, name: str) -> str:
        return self.place.backend.mint_token(Grant(ROOM, name))

    def person(self, name: str, behaviour: Behaviour | None = None) -> Participant:
        return Participant("ws://worker", self.token(name), behaviour=behaviour or Behaviour(), http=self.http)


@pytest.fixture
async def door(place: Workplace) -> AsyncIterator[Door]:
    door = Door(place)
    yield door
    await door.http.close()


def memory() -> int:
    (process,) = worker_processes()
    return process.memory_info().rss


async def talk(alice: Participant, seconds: float) -> int:
    count = int(seconds * 50)
    for _ in range(count):
        alice.send_packet(PAYLOAD)
        await asyncio.sleep(0.02)
    return count


async def test_through_every_flood_bob_hears_alice_and_memory_stays(door: Door) -> None:
    alice, bob = door.person("alice"), door.person("bob", Behaviour(asks_again=True))
    await alice.connect()
    await bob.connect()
    await alice.publish_audio()
    await bob.until(lambda: (alice.send_packet(PAYLOAD), bool(bob.streams))[1])
    await _everything_once(door, Random(0), EVENTS // 10)  # what is made once, is made
    (alices,) = [stream for stream in bob.streams.values() if stream.track_sid == alice.tracks[0].sid]
    before, received, lost = memory(), alices.packets, alices.lost
    talking = asyncio.create_task(talk(alice, 8))
    await _everything_once(door, Random(1), EVENTS)
    sent = await talking
    await asyncio.sleep(0.5)
    assert alices.packets - received >= sent * 0.99
    assert alices.lost - lost <= sent * 0.01
    assert memory() - before < GROWTH_BYTES
    await alice.close()
    await bob.close()
    await _everybody_is_gone(door)


async def _everything_once(door: Door, random: Random, events: int) -> None:
    await asyncio.gather(
        _datagrams(door.media_port, random, events),
        _frames(door.media_port, random, events // 50),
        _packets_with_keys(door, random, events),
        _words(door, random, events // 20),
        _joins(door, events // 100),
    )


async def _datagrams(port: int, random: Random, count: int) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        for number in range(count):
            sock.sendto(garbage(random), ("127.0.0.1", port))
            if number % 20 == 0:
                await asyncio.sleep(0.005)


async def _frames(port: int, random: Random, count: int) -> None:
    for _ in range(count):
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(random.randbytes(random.choice((1, 3, 100, 4000))))
        await asyncio.sleep(0.005)
        writer.close()


async def _packets_with_keys(door: Door, random: Random, count: int) -> None:
    """Mallory publishes, and then sends what she likes: authentic, and nonsense."""
    mallory = door.person(f"mallory{random.random()}")
    await mallory.connect()
    track = await mallory.publish_audio()
    for number in range(count):
        ssrc = random.choice((track.ssrc, random.getrandbits(9)))
        first = 0x80 | random.randrange(64)
        head = struct.pack("!BBHII", first, random.randrange(256), number & 0xFFFF, number, ssrc)
        packet = head + random.randbytes(random.choice((0, 1, 20, 1100)))
        with contextlib.suppress(pylibsrtp.Error):  # what not even her own library encrypts
            if 192 <= packet[1] <= 223:
                mallory._connection.send_rtcp(packet)
            else:
                mallory.send_raw(packet)
        if number % 10 == 0:
            await asyncio.sleep(0.005)
    await mallory.close()


async def _words(door: Door, random: Random, count: int) -> None:
    """On her WebSocket; when she is sent away she comes again."""
    left = count
    while left:
        query = {"access_token": door.token("babbler"), "auto_subscribe": "1", "protocol": "16"}
        async with door.http.ws_connect("ws://worker/rtc", params=query) as socket_:
            while left and not socket_.closed:
                left -= 1
                await _babble(socket_, random)


async def _babble(socket_: aiohttp.ClientWebSocketResponse, random: Random) -> None:
    kind = random.choice([kind for kind in KINDS if kind != "leave"])
    said = request(kind, random, [ROOM, "0", "1"]).SerializeToString()
    with contextlib.suppress(TimeoutError, ConnectionError):
        await socket_.send_bytes(said if random.random() < 0.98 else random.randbytes(100))
        for _ in range(20):
            await socket_.receive(timeout=0.005)


async def _joins(door: Door, count: int) -> None:
    """The same name again and again, each time with tracks that never come."""
    for _ in range(count):
        query = {"access_token": door.token("again"), "protocol": "16"}
        socket_ = await door.http.ws_connect("ws://worker/rtc", params=query)
        track = rtc.AddTrackRequest(cid="a", type=models.AUDIO, source=models.MICROPHONE)
        await socket_.send_bytes(rtc.SignalRequest(add_track=track).SerializeToString())
        await asyncio.sleep(0.01)
        socket_._response.connection.transport.abort()  # type: ignore[union-attr]


async def _everybody_is_gone(door: Door) -> None:
    for _ in range(300):
        if not await door.place.backend.participants(ROOM):
            break
        await asyncio.sleep(0.1)
    (child,) = door.place.crew.running()
    for _ in range(300):
        numbers = await child.look()
        if not numbers.participants:
            break
        await asyncio.sleep(0.1)
    assert numbers.participants == 0
    assert not psutil.Process(child.process.pid).children()

"""Networks at their worst, and Mallory on them: losses, moves, forged addresses, clocks that jump."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from random import Random

import pytest
from livekit.protocol import rtc

from tests.voice.hostile.weather import Bursts
from tests.voice.participant.embedded_server import EmbeddedServer, embedded_server
from tests.voice.rooms.stage import KEY, SECRET, Person, RecordedPort, RecordedSignal, Stage, Time
from tests.voice.transport.peer import IDENTITY, Recorder, check, number_of, rtp
from tests.voice.waiting import until
from voice.participant import Behaviour, Participant
from voice.sfu.backend import Grant, Left, RoomOptions
from voice.sfu.embedded.rooms.clock import Clock
from voice.sfu.embedded.rooms.intent import JoinIntent
from voice.sfu.embedded.rooms.limits import RoomLimits
from voice.sfu.embedded.rooms.server import RoomServer
from voice.sfu.embedded.transport import Port, open_media_port
from voice.sfu.embedded.transport.dtls import new_endpoint
from voice.tokens import mint

FRAME_S = 0.02
PAYLOAD = b"\x78 an opus frame"


async def call(server: EmbeddedServer, alices: Behaviour, bobs: Behaviour) -> tuple[Participant, Participant]:
    alice, bob = server.participant("alice", behaviour=alices), server.participant("bob", behaviour=bobs)
    await alice.connect()
    await bob.connect()
    await alice.publish_audio()
    await bob.until(lambda: (alice.send_packet(PAYLOAD), bool(bob.streams))[1])
    return alice, bob


async def test_bursts_of_loss_both_ways_leave_less_than_one_packet_in_a_hundred_unheard() -> None:
    up, down = Bursts(0.1, Random(1)), Bursts(0.1, Random(2))
    async with embedded_server() as server:
        alice, bob = await call(server, Behaviour(loses_sent=up), Behaviour(asks_again=True, loses_received=down))
        for _ in range(120):
            alice.send_packet(PAYLOAD)
            await asyncio.sleep(FRAME_S)
        await asyncio.sleep(0.5)
        statistics = bob.statistics()
        assert up.lost > 5
        assert down.lost > 5
        assert statistics.expected >= 120
        assert statistics.loss < 0.01
        await asyncio.gather(alice.close(), bob.close())


async def test_after_a_change_of_network_alice_is_heard_again_within_a_second() -> None:
    async with embedded_server() as server:
        alice, bob = await call(server, Behaviour(), Behaviour())
        for mover in (alice, bob):
            before, began = bob.statistics().received, time.monotonic()
            await mover.change_network()
            while bob.statistics().received < before + 3:
                alice.send_packet(PAYLOAD)
                await asyncio.sleep(FRAME_S)
                assert time.monotonic() - began < 1
        await asyncio.gather(alice.close(), bob.close())


# --- strangers -----------------------------------------------------------------------------------------------------


def words_of_strangers() -> list[bytes]:
    """All that a stranger may begin with. What would be answered by somebody careless, and at length."""
    hello = hello_of_dtls()
    forged = check("nobody", "guess")
    return [
        b"\0",
        forged,
        forged[:20],
        struct.pack("!HHI", 1, 0, 0x2112A442) + b"t" * 12,
        struct.pack("!HHI", 3, 0, 0x2112A442) + b"t" * 12,
        hello,
        rtp(1),
        struct.pack("!BBHI", 0x80, 200, 6, 1) + b"\0" * 24,
        b"GET / HTTP/1.1\r\n\r\n",
        b"\xff" * 1200,
    ]


def hello_of_dtls() -> bytes:
    client = new_endpoint(IDENTITY.context, server=False)
    client.handshake()
    return b"".join(client.outgoing())


@pytest.fixture
async def port() -> AsyncIterator[Port]:
    opened = await open_media_port("127.0.0.1", 0, [])
    yield opened
    opened.close()


async def test_strangers_get_not_one_byte_by_udp(port: Port) -> None:
    transport = port.new_transport(Recorder())
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as mallory:
        mallory.setblocking(False)
        for word in (*words_of_strangers(), check(transport.ufrag, "guess"), check(transport.ufrag, "")):
            mallory.sendto(word, ("127.0.0.1", number_of(port)))
        await until(lambda: port.counters.bad >= 12)
        with pytest.raises(BlockingIOError):
            mallory.recv(2048)
    assert not port._by_address
    assert port.counters.checks == 0


@pytest.mark.parametrize("word", range(10))
async def test_strangers_get_not_one_byte_by_tcp(port: Port, word: int) -> None:
    port.new_transport(Recorder())
    said = words_of_strangers()[word]
    reader, writer = await asyncio.open_connection("127.0.0.1", number_of(port))
    writer.write(len(said).to_bytes(2, "big") + said)
    with contextlib.suppress(ConnectionResetError):
        assert await asyncio.wait_for(reader.read(100), 5) == b""
    writer.close()


async def test_the_answer_to_a_check_is_no_longer_than_the_check(port: Port) -> None:
    """A check with the right password proves no address: it may be forged, and its answer hit somebody else."""
    transport = port.new_transport(Recorder())
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as mallory:
        mallory.setblocking(False)
        for said in (
            check(transport.ufrag, transport.password),
            check(transport.ufrag, transport.password, controlled=True),
            check(transport.ufrag, transport.password, extra=b"\x00\x77\x00\x04abcd\x00\x78\x00\x04abcd"),
        ):
            mallory.sendto(said, ("127.0.0.1", number_of(port)))
            answer = await asyncio.wait_for(asyncio.get_running_loop().sock_recv(mallory, 2048), 5)
            assert len(answer) <= len(said)


async def test_a_flood_of_checks_is_answered_in_part(port: Port) -> None:
    transport = port.new_transport(Recorder())
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as mallory:
        for _ in range(600):
            mallory.sendto(check(transport.ufrag, transport.password), ("127.0.0.1", number_of(port)))
        await until(lambda: port.counters.checks + port.counters.bad >= 600)
    assert port.counters.checks < 400


# --- clocks --------------------------------------------------------------------------------------------------------

DAY_MS = 86_400_000


@dataclass(slots=True)
class TwoClocks(Time):
    """The wall clock jumps, the other one does not."""

    wall_jump: int = 0

    def clock(self) -> Clock:
        return Clock(lambda: self.ms + self.wall_jump, lambda: self.ms * 1_000_000)


def stage_of(clocks: TwoClocks) -> Stage:
    port, events = RecordedPort(clocks), []
    server = RoomServer(port, {KEY: SECRET}, RoomLimits(), clocks.clock())  # type: ignore[arg-type]
    server.on_event(events.append)
    server.ensure_room("kitchen", RoomOptions())
    return Stage(clocks, port, server, events)


@pytest.mark.parametrize("jump", [-3650 * DAY_MS, -DAY_MS, -5000, 5000, DAY_MS, 3650 * DAY_MS])
async def test_when_the_wall_clock_jumps_calls_go_on(jump: int) -> None:
    clocks = TwoClocks()
    stage = stage_of(clocks)
    alice, bob = stage.in_a_call("alice", "bob")
    sid = alice.publishes()
    bob.offers()
    stage.passes(2000, alice, bob)
    clocks.wall_jump = jump
    stage.passes(20_000, alice, bob)
    clocks.wall_jump = 0
    stage.passes(20_000, alice, bob)
    assert not stage.seen(Left)
    assert sid in bob.hears()
    assert not alice.signal.closed


async def test_who_joins_while_the_clock_is_wrong_stays_when_it_is_set_right() -> None:
    clocks = TwoClocks(wall_jump=DAY_MS)
    stage = stage_of(clocks)
    token = mint(KEY, SECRET, Grant("kitchen", "alice"), (clocks.ms + clocks.wall_jump) / 1000)
    signal = RecordedSignal()
    session = stage.server.door.enter(stage.server.door.check(token), JoinIntent(True, 16, True), signal)
    assert session is not None
    alice = Person(session, signal, stage.port.transports)
    alice.listens(audio=1)
    alice.offers()
    alice.connects()
    clocks.wall_jump = 0
    stage.passes(30_000, alice)
    assert not stage.seen(Left)
    assert not signal.closed


async def test_pongs_are_not_confused_by_a_clock_of_the_client() -> None:
    stage = stage_of(TwoClocks())
    (alice,) = stage.in_a_call("alice")
    for stamp in (0, -1, 2**62, -(2**62)):
        alice.asks(ping_req=rtc.Ping(timestamp=stamp, rtt=stamp))
        assert alice.signal.last("pong_resp").last_ping_timestamp == stamp

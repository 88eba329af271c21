"""Alice, Bob and others without ears in a room of the embedded SFU, over real sockets of this machine."""

from __future__ import annotations

import asyncio
import random
import time

import pytest

from tests.voice.participant.embedded_server import EmbeddedServer, embedded_server
from voice.participant import Behaviour, IncomingStream, Participant, Refused, Statistics, speak, stamped

PAYLOAD = bytes(80)


async def talk(alice: Participant, packets: int, *listeners: Participant, pause: float = 0.003) -> None:
    """Say something, once everybody is ready to hear it; returns when it arrived, and repairs had their time."""
    (track,) = alice.tracks
    for listener in listeners:
        await heard(alice, listener, track.sid)
    for _ in range(packets):
        alice.send_packet(stamped(PAYLOAD))
        await asyncio.sleep(pause)
    for _ in range(100):
        await asyncio.sleep(0.01)
        if all(not listener.statistics().lost for listener in listeners):
            break


async def heard(alice: Participant, listener: Participant, track_sid: str) -> None:
    """Until a first packet of the track came through."""
    for _ in range(200):
        if any(stream.track_sid == track_sid and stream.packets for stream in listener.streams.values()):
            return
        alice.send_packet(stamped(PAYLOAD))
        await asyncio.sleep(0.01)
    raise AssertionError("nothing is heard")


async def arrived(listener: Participant, packets: int) -> None:
    """Until the only stream has so many."""
    for _ in range(200):
        if only_stream(listener).packets >= packets:
            return
        await asyncio.sleep(0.01)
    raise AssertionError(f"{only_stream(listener).packets} packets came, not {packets}")


def only_stream(listener: Participant) -> IncomingStream:
    (stream,) = listener.streams.values()
    return stream


async def pair(
    server: EmbeddedServer, path: str = "udp", alices: Behaviour | None = None, bobs: Behaviour | None = None
) -> tuple[Participant, Participant]:
    alice, bob = server.participant("alice", path, alices), server.participant("bob", path, bobs)  # type: ignore[arg-type]
    await asyncio.gather(alice.connect(), bob.connect())
    await alice.publish_audio()
    return alice, bob


@pytest.mark.parametrize("path", ["udp", "tcp"])
async def test_bob_hears_everything_alice_says(path: str) -> None:
    async with embedded_server() as server:
        alice, bob = await pair(server, path, bobs=Behaviour(reads_stamps=True))
        await talk(alice, 100, bob)
        stream = only_stream(bob)
        assert stream.packets >= 100
        assert bob.statistics().loss == 0
        assert 0 < bob.statistics().latency_p50_ms < 500
        assert stream.track_sid == alice.tracks[0].sid
        assert bob.others["alice"].tracks[0].sid == alice.tracks[0].sid
        await alice.close()
        await bob.until(lambda: "alice" not in bob.others)
        await bob.close()


async def test_the_loudest_are_announced() -> None:
    async with embedded_server() as server:
        alice, bob = await pair(server)
        await talk(alice, 60, bob, pause=0.01)
        await bob.until(lambda: alice.joined.participant.sid in bob.speakers)
        await asyncio.gather(alice.close(), bob.close())


async def test_speech_keeps_its_time() -> None:
    async with embedded_server() as server:
        alice, bob = await pair(server, bobs=Behaviour(reads_stamps=True))
        await talk(alice, 1, bob)
        before, started = only_stream(bob).packets, asyncio.get_running_loop().time()
        await speak(alice, [PAYLOAD] * 30, frame_ms=10, stamp=True)
        assert 0.29 < asyncio.get_running_loop().time() - started < 0.6
        await arrived(bob, before + 30)
        assert len(only_stream(bob).latencies_us) == only_stream(bob).packets
        await asyncio.gather(alice.close(), bob.close())


async def test_packets_can_be_counted_without_opening_them() -> None:
    async with embedded_server() as server:
        alice, bob = await pair(server, bobs=Behaviour(opens_packets=False))
        await talk(alice, 50, bob)
        assert only_stream(bob).packets >= 50
        assert bob.statistics().loss == 0
        await asyncio.gather(alice.close(), bob.close())


def one_in_ten(seed: int) -> Behaviour:
    dice = random.Random(seed)
    return Behaviour(asks_again=True, loses_received=lambda: dice.random() < 0.1)


async def test_losses_on_the_way_to_bob_are_repaired() -> None:
    async with embedded_server() as server:
        alice, bob = await pair(server, bobs=one_in_ten(1))
        await talk(alice, 200, bob)
        counted: Statistics = bob.statistics()
        assert counted.asked_again >= 10
        assert counted.loss < 0.01
        await asyncio.gather(alice.close(), bob.close())


async def test_losses_on_the_way_from_alice_are_repaired() -> None:
    dice = random.Random(2)
    async with embedded_server() as server:
        alice, bob = await pair(server, alices=Behaviour(loses_sent=lambda: dice.random() < 0.1))
        await talk(alice, 200, bob)
        assert alice.statistics().resent >= 10
        assert bob.statistics().loss < 0.01
        await asyncio.gather(alice.close(), bob.close())


async def test_bob_resumes_and_changes_networks_in_the_middle_of_a_sentence() -> None:
    async with embedded_server() as server:
        alice, bob = await pair(server)
        await talk(alice, 20, bob)
        bob.drop_signalling()
        await bob.resume()
        before = only_stream(bob).packets
        await talk(alice, 20)
        await arrived(bob, before + 20)
        await bob.change_network()
        await bob.until(lambda: bob.reachable)
        await talk(alice, 20)
        await arrived(bob, before + 40)
        assert bob.statistics().unreadable == 0
        await asyncio.gather(alice.close(), bob.close())


async def test_mallory_has_no_good_token() -> None:
    async with embedded_server() as server:
        mallory = server.participant("mallory")
        mallory.token = mallory.token[:-3] + "abc"
        with pytest.raises(Refused) as refused:
            await mallory.connect()
        assert refused.value.status == 401
        await mallory.close()


async def test_bob_asks_for_more_sections_as_the_room_fills() -> None:
    """Six talkers, and three sections to begin with."""
    async with embedded_server() as server:
        talkers = [server.participant(f"talker {number}") for number in range(6)]
        bob = server.participant("bob", behaviour=Behaviour(opens_packets=False))
        await asyncio.gather(bob.connect(), *(talker.connect() for talker in talkers))
        await asyncio.gather(*(talker.publish_audio() for talker in talkers))
        for talker in talkers:
            await heard(talker, bob, talker.tracks[0].sid)
        assert len(bob.streams) == 6
        assert bob.statistics().negotiations < 12
        await asyncio.gather(bob.close(), *(talker.close() for talker in talkers))


async def test_thirty_listeners_fit_into_one_process_with_their_server() -> None:
    async with embedded_server() as server:
        alice = server.participant("alice")
        listeners = [
            server.participant(f"listener {number}", behaviour=Behaviour(opens_packets=False)) for number in range(30)
        ]
        await asyncio.gather(alice.connect(), *(listener.connect() for listener in listeners))
        await alice.publish_audio()
        await talk(alice, 1, *listeners)
        before = time.process_time()
        await talk(alice, 50, *listeners, pause=0.01)
        assert time.process_time() - before < 1.0
        assert all(only_stream(listener).lost == 0 for listener in listeners)
        await asyncio.gather(alice.close(), *(listener.close() for listener in listeners))

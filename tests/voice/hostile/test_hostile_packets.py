"""Mallory has keys and a track of her own, and sends packets that no client sends: media of the room, without a network."""

from __future__ import annotations

import struct
import time
from random import Random

import pytest

from tests.voice.media.studio import (
    EXTENSIONS,
    LOUD,
    VP8,
    Camera,
    Listener,
    RecordingTransport,
    Speaker,
    StillClock,
    is_continuous,
    write,
)
from voice.sfu.embedded.contracts import MID, REPAIRED_RID, RID, ReceivedSection
from voice.sfu.embedded.media import MediaRoom, Receiver, rtcp
from voice.sfu.embedded.media.history import REPEATS_PER_SECOND
from voice.sfu.embedded.media.receiver import MAX_STREAMS

SEEDS = (1, 2, 3)


@pytest.fixture
def clock() -> StillClock:
    return StillClock()


@pytest.fixture
def room(clock: StillClock) -> MediaRoom:
    return MediaRoom(clock, 5, 20)


def hears(room: MediaRoom, *tracks: Speaker) -> Listener:
    listener = Listener(room)
    for speaker in tracks:
        listener.listen_to(speaker.track)
    return listener


# --- who is who ----------------------------------------------------------------------------------------------------


def test_with_alices_ssrc_mallory_is_still_mallory(room: MediaRoom) -> None:
    alice, mallory = Speaker(room, "alice"), Speaker(room, "mallory", ssrc=2002)
    bob = hears(room, alice, mallory)
    alice.talk()
    bob.transport.heard()
    for ssrc in (alice.ssrc, alice.track.ssrc, alice.track.rtx_ssrc):
        mallory.receiver.rtp(write(111, 5, 5, ssrc, b"stolen voice", extensions={1: bytes((LOUD,)), 4: b"0"}))
        mallory.receiver.rtcp(rtcp.write_sender_report(rtcp.SenderReport(ssrc, 1 << 40, 0, 0, 0)))
        mallory.receiver.rtcp(struct.pack(">BBHI", 0x81, rtcp.GOODBYE, 1, ssrc))
    alice.talk()
    stolen = [packet for packet in bob.transport.heard() if packet.ssrc == alice.track.ssrc]
    assert [packet.payload for packet in stolen] == [b"alice 101"]


def test_one_who_may_not_publish_is_forwarded_to_nobody(room: MediaRoom) -> None:
    alice = Speaker(room, "alice")
    bob = hears(room, alice)
    mallory = Receiver(room, RecordingTransport())
    for payload_type in range(128):
        mallory.rtp(write(payload_type, payload_type, 1, alice.ssrc, b"x", extensions={4: b"0", 5: b"q"}))
    assert not bob.transport.rtp
    assert not mallory._streams


def test_a_muted_mallory_is_silent_whatever_ssrc_she_takes(room: MediaRoom, clock: StillClock) -> None:
    mallory = Speaker(room, "mallory")
    bob = hears(room, mallory)
    mallory.track.muted = True
    for ssrc in range(1, 300):
        clock.advance(250)
        mallory.receiver.rtp(write(111, 1, 1, ssrc, b"not muted", extensions={1: bytes((LOUD,)), 4: b"0"}))
        room.tick(clock.ns)
    assert not bob.transport.rtp
    assert not room.speakers()


# --- tables do not grow --------------------------------------------------------------------------------------------


def test_ssrcs_that_change_all_the_time_take_no_room(room: MediaRoom, clock: StillClock) -> None:
    mallory, camera = Speaker(room, "mallory"), Camera(room, clock)
    for ssrc in range(1, 3000):
        clock.advance(201)
        mallory.receiver.rtp(write(111, ssrc, 1, ssrc, b"x", extensions={4: b"0"}))
        rid = b"qhf"[ssrc % 3 : ssrc % 3 + 1]
        camera.receiver.rtp(write(96, ssrc, 1, ssrc, b"\x90\x80\x01", extensions={4: b"1", 5: rid}))
        camera.receiver.rtp(write(97, ssrc, 1, ssrc + 10_000, b"\0\1x", extensions={4: b"1", 6: rid}))
    assert len(mallory.receiver._streams) == 1
    assert len(camera.receiver._streams) <= 6


def test_layers_nobody_agreed_on_are_nothing(room: MediaRoom, clock: StillClock) -> None:
    camera = Camera(room, clock)
    for number in range(2, 2000):
        rid = str(number).encode()
        camera.receiver.rtp(write(96, 1, 1, number + 1, b"\x90\x80\x01", extensions={4: b"1", 5: rid}))
        camera.receiver.rtp(write(96, 1, 1, number + 1, b"\x90\x80\x01", extensions={4: rid, 5: b"q"}))
    assert not camera.receiver._streams


def test_streams_of_all_sections_together_are_bounded(room: MediaRoom, clock: StillClock) -> None:
    cameras = [Camera(room, clock, name=str(number)) for number in range(120)]
    receiver = cameras[0].receiver
    sections = [
        (ReceivedSection(str(number), "video", (VP8,), {97: 96}, EXTENSIONS, ("q", "h", "f")), camera.track)
        for number, camera in enumerate(cameras)
    ]
    receiver.update(sections)
    for number in range(120 * 3):
        mid, rid = str(number // 3).encode(), b"qhf"[number % 3 : number % 3 + 1]
        receiver.rtp(write(96, 1, 1, number + 1, b"\x90\x80\x01", extensions={4: mid, 5: rid}))
    assert len(receiver._streams) == MAX_STREAMS


# --- few bytes, much work ------------------------------------------------------------------------------------------


def test_few_bytes_of_nacks_do_not_bring_megabytes(room: MediaRoom, clock: StillClock) -> None:
    camera, mallory = Camera(room, clock, rids=()), Listener(room)
    mallory.watch(camera.track)
    camera.film("", key=True, size=1000)
    for _ in range(600):
        camera.film("", size=1000)
    there = [packet.sequence for packet in mallory.transport.heard() if packet.payload_type == 96]
    for _ in range(100):  # one second
        clock.advance(10)
        mallory.miss(camera.track, there[-1024:])
    assert len(mallory.transport.rtp) <= 2 * REPEATS_PER_SECOND + 5


def test_a_client_that_really_lost_much_gets_it_all(room: MediaRoom, clock: StillClock) -> None:
    camera, bob = Camera(room, clock, rids=()), Listener(room)
    bob.watch(camera.track)
    camera.film("", key=True, size=1000)
    bob.transport.heard()
    for _ in range(100):
        camera.film("", size=1000)
    lost = [packet.sequence for packet in bob.transport.heard()]
    clock.advance(50)
    bob.miss(camera.track, lost)
    assert len(bob.transport.heard()) == 200


def test_numbers_that_jump_are_cheap(room: MediaRoom, clock: StillClock) -> None:
    """Each jump leaves a thousand holes behind; noticing them one by one took milliseconds for a packet of 20 bytes."""
    camera, mallory = Camera(room, clock, name="mallory", rids=()), Speaker(room, "mallory")
    began = time.process_time()
    for _ in range(2000):
        camera.layers[""].sequence += 2900
        mallory.sequence += 2900
        camera.film("", count=1, size=1)
        mallory.talk()
        clock.advance(0.5)
    room.tick(clock.ns)
    assert time.process_time() - began < 1.5
    for reception in (camera.receiver._streams[7000].reception, mallory.receiver._streams[1001].reception):  # type: ignore[union-attr]
        assert len(reception.holes) <= reception.max_holes
    assert sum(map(len, camera.transport.rtcp + mallory.transport.rtcp)) < 20_000


def test_endless_rtcp_is_not_read(room: MediaRoom, clock: StillClock) -> None:
    camera, mallory = Camera(room, clock, rids=()), Listener(room)
    mallory.watch(camera.track)
    camera.film("", key=True)
    everything = rtcp.write_nack(1, camera.track.ssrc, range(0, 8000, 17)) + rtcp.write_pli(1, camera.track.ssrc) * 60
    began = time.process_time()
    for _ in range(3000):
        clock.advance(0.1)
        mallory.sender.rtcp(everything)
        camera.receiver.rtcp(everything)
    assert time.process_time() - began < 1.0
    assert len(camera.key_frames_asked()) <= 2, "key frames are big, and asked for seldom"


def test_key_frames_asked_for_by_many_are_asked_for_once(room: MediaRoom, clock: StillClock) -> None:
    camera = Camera(room, clock, rids=())
    mallories = [Listener(room) for _ in range(30)]
    for mallory in mallories:
        mallory.watch(camera.track)
    camera.film("", key=True)
    before = len(camera.key_frames_asked())
    for _ in range(100):
        clock.advance(10)
        for mallory in mallories:
            mallory.sender.rtcp(rtcp.write_pli(1, camera.track.ssrc))
            mallory.sender.rtcp(rtcp.write_fir(1, camera.track.ssrc, 1))
        room.tick(clock.ns)
    assert len(camera.key_frames_asked()) - before <= 3


# --- nonsense ------------------------------------------------------------------------------------------------------


def lies(random: Random, good: bytes) -> bytes:
    """A packet whose header contradicts itself: counts, lengths and paddings that are not there."""
    packet = bytearray(good)
    for _ in range(random.randint(1, 4)):
        packet[random.choice((0, 1, 12, 13, 14, 15, 16, 17, len(packet) - 1)) % len(packet)] = random.randrange(256)
    packet[0] = 0x80 | packet[0] & 0x3F
    return bytes(packet[: random.choice((12, 13, 16, 20, len(packet), len(packet)))])


@pytest.mark.parametrize("seed", SEEDS)
def test_headers_that_lie_harm_nobody(room: MediaRoom, clock: StillClock, seed: int) -> None:
    random = Random(seed)
    alice, mallory, camera = Speaker(room, "alice"), Speaker(room, "mallory", ssrc=2002), Camera(room, clock)
    bob = hears(room, alice, mallory)
    bob.watch(camera.track)
    camera.film_all(3, key=True)
    payloads = []
    for number in range(1500):
        mallory.receiver.rtp(lies(random, mallory.packet()))
        for packet in camera.packets(random.choice("qhf"), key=random.random() < 0.1):
            camera.receiver.rtp(lies(random, packet))
        if number % 50 == 0:
            alice.talk()
            payloads.append(f"alice {alice.sequence - 1}".encode())
            clock.advance(20)
            room.tick(clock.ns)
    heard = [packet for packet in bob.transport.heard() if packet.ssrc == alice.track.ssrc]
    assert [packet.payload for packet in heard] == payloads
    assert is_continuous(heard)


@pytest.mark.parametrize("seed", SEEDS)
def test_reports_that_lie_harm_nobody(room: MediaRoom, clock: StillClock, seed: int) -> None:
    random = Random(seed)
    alice, camera = Speaker(room, "alice"), Camera(room, clock, rids=())
    bob, mallory = hears(room, alice), hears(room, alice)
    for listener in (bob, mallory):
        listener.watch(camera.track)
    camera.film("", key=True)
    known = (alice.track.ssrc, camera.track.ssrc, alice.ssrc, 7000, 0, 0xFFFFFFFF)
    for number in range(1500):
        compound = b"".join(_report(random, known) for _ in range(random.randint(1, 4)))[: random.choice((7, 40, 1500))]
        for victim in (mallory.sender, alice.receiver, camera.receiver):
            victim.rtcp(compound)
        clock.advance(random.choice((0, 1, 20)))
        if number % 20 == 0:
            camera.film("", key=True)
            room.tick(clock.ns)
    bob.transport.heard()
    alice.talk(3)
    assert len([packet for packet in bob.transport.heard() if packet.ssrc == alice.track.ssrc]) == 3
    assert mallory.sender.bandwidth.bps <= 50_000_000


def _report(random: Random, ssrcs: tuple[int, ...]) -> bytes:
    kind = random.choice((192, 200, 201, 202, 203, 204, 205, 206, 207, 223))
    body = b"".join(
        struct.pack(">I", random.choice((*ssrcs, random.getrandbits(32)))) for _ in range(random.randint(0, 9))
    )
    if random.random() < 0.2:
        body += b"REMB" + random.randbytes(8)
    length = random.choice((len(body) // 4, len(body) // 4, 0, 65_535, len(body)))
    return struct.pack(">BBH", 0x80 | random.randrange(64), kind, length & 0xFFFF) + body


@pytest.mark.parametrize("seed", SEEDS)
def test_packets_that_come_twice_or_out_of_order_come_out_once(room: MediaRoom, clock: StillClock, seed: int) -> None:
    random = Random(seed)
    alice = Speaker(room, "alice")
    bob = hears(room, alice)
    packets = [alice.packet() for _ in range(300)]
    order = sorted(range(300), key=lambda number: number + random.uniform(0, 4) if number else -1)
    for number in order:
        for _ in range(random.choice((1, 1, 2, 3))):
            alice.receiver.rtp(packets[number])
        clock.advance(20)
    heard = bob.transport.heard()
    assert len(heard) == 300
    assert is_continuous(sorted(heard, key=lambda packet: packet.sequence))


@pytest.mark.parametrize("jump", [100, 5000, 30_000, 40_000])
def test_after_a_jump_of_numbers_and_times_sound_goes_on_without_a_hole(
    room: MediaRoom, clock: StillClock, jump: int
) -> None:
    alice = Speaker(room, "alice")
    bob = hears(room, alice)
    for step in (jump, -jump, jump * 3):
        alice.talk(3)
        bob.transport.heard()
        alice.sequence += step
        alice.timestamp += step * 960 * 7
        clock.advance(300)
        alice.talk(10)
        heard = bob.transport.heard()
        assert len(heard) >= 8, "at most a packet or two until the jump is believed"
        assert is_continuous(heard)


def test_extension_ids_were_agreed_on(room: MediaRoom) -> None:
    """What this file writes by number."""
    assert (EXTENSIONS[MID], EXTENSIONS[RID], EXTENSIONS[REPAIRED_RID]) == (4, 5, 6)

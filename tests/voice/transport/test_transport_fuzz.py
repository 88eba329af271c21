"""Garbage of every kind, from strangers and from a peer with keys: nothing raises, nothing grows, calls go on."""

from __future__ import annotations

import asyncio
import logging
import random
import struct
from collections import deque

import pytest
from aioice.stun import message_fingerprint
from google_crc32c import value as crc32c

from tests.voice.transport.peer import PATIENCE, Peer, Recorder, check, peer, rtp, soon, tcp_wire, udp_wire
from voice.sfu.embedded.transport import Port, limits
from voice.sfu.embedded.transport import transport as transport_module
from voice.sfu.embedded.transport.framing import FrameReader, FrameTooLong
from voice.sfu.embedded.transport.sctp import DataChannels, new_data_channels
from voice.sfu.embedded.transport.sctp_screen import is_harmless
from voice.sfu.embedded.transport.stun import read_binding_request

SEEDS = range(3)


def mutated(chance: random.Random, packet: bytes) -> bytes:
    """Some bytes changed, cut short, or longer."""
    changed = bytearray(packet)
    for _ in range(chance.randint(1, 6)):
        changed[chance.randrange(len(changed))] = chance.randrange(256)
    cut = chance.choice((0, 0, 1))
    return bytes(changed[: chance.randint(1, len(changed))] if cut else changed) + chance.randbytes(cut and 3)


def garbage(chance: random.Random) -> bytes:
    """Of a first byte that means something."""
    first = chance.choice((0, 1, 3, 16, 20, 22, 23, 64, 100, 128, 129, 144, 191, 255))
    return bytes((first,)) + chance.randbytes(chance.choice((0, 1, 11, 12, 20, 60, 1200, 1999, 2047)))


@pytest.fixture(autouse=True)
def no_reports(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.ERROR)


def assert_nothing_reported(caplog: pytest.LogCaptureFixture) -> None:
    assert not caplog.records, caplog.text


async def connect(alice: Peer, observer: Recorder) -> None:
    await alice.connect()
    await asyncio.wait_for(observer.connected.wait(), PATIENCE)


@pytest.mark.parametrize("seed", SEEDS)
def test_no_bytes_make_the_stun_parser_raise(seed: int) -> None:
    chance = random.Random(seed)
    good = check("abcdef", "password")
    assert read_binding_request(good) is not None
    for _ in range(3000):
        read_binding_request(mutated(chance, good))
        # With a fingerprint that fits, so that attributes are looked at.
        body = mutated(chance, good[20:-8])[:1200]
        head = good[:2] + (len(body) + 8).to_bytes(2, "big") + good[4:20]
        read_binding_request(_fingerprinted(head + body))


def _fingerprinted(message: bytes) -> bytes:
    return message + struct.pack("!HHI", 0x8028, 4, message_fingerprint(message))


@pytest.mark.parametrize("seed", SEEDS)
def test_no_bytes_make_the_frame_reader_raise_or_keep_more_than_a_frame(seed: int) -> None:
    chance = random.Random(seed)
    reader = FrameReader()
    for _ in range(2000):
        try:
            list(reader.feed(chance.randbytes(chance.randint(0, 400))))
        except FrameTooLong:
            reader = FrameReader()
        assert len(reader._pending) <= limits.MAX_DATAGRAM + 2


@pytest.mark.parametrize("seed", SEEDS)
def test_no_bytes_make_the_sctp_screen_raise(seed: int) -> None:
    chance = random.Random(seed)
    for _ in range(3000):
        is_harmless(chance.randbytes(12) + bytes((chance.choice((0, 1, 3, 4, 130, 192)), 0)) + chance.randbytes(40))


@pytest.mark.parametrize("seed", SEEDS)
async def test_garbage_of_strangers_changes_nothing(port: Port, seed: int, caplog: pytest.LogCaptureFixture) -> None:
    chance, observer = random.Random(seed), Recorder()
    transport = port.new_transport(observer)
    async with peer(udp_wire(port), transport) as alice, peer(udp_wire(port), transport) as mallory:
        await connect(alice, observer)
        for _ in range(600):
            forged = check(transport.ufrag, "guess")
            mallory.wire.send(chance.choice((garbage(chance), mutated(chance, forged), forged)))
            if chance.random() < 0.05:
                await alice.check()
        alice.send_rtp(rtp(1))

        assert await soon(observer.rtp) == rtp(1)
        assert len(port._by_address) == 1
        assert len(port._by_name) == 1
        assert mallory.checks.empty()
        assert mallory.media.empty()
        assert_nothing_reported(caplog)


@pytest.mark.parametrize("seed", SEEDS)
async def test_garbage_from_a_valid_address_is_not_passed_on(
    port: Port, seed: int, caplog: pytest.LogCaptureFixture
) -> None:
    chance, observer = random.Random(seed), Recorder()
    async with peer(udp_wire(port), port.new_transport(observer)) as alice:
        await connect(alice, observer)
        for n in range(400):
            good = alice.protected(rtp(n))
            alice.wire.send(chance.choice((garbage(chance), mutated(chance, good))))
            if n % 40 == 0:
                await alice.check()
        while not observer.rtp.empty():
            assert observer.rtp.get_nowait()[12:] == b"opus frame"
        alice.send_rtp(rtp(1000))

        while await soon(observer.rtp) != rtp(1000):
            pass
        assert observer.failed.empty()
        assert_nothing_reported(caplog)


@pytest.mark.parametrize("seed", SEEDS)
async def test_plaintext_garbage_of_a_peer_with_keys_never_raises(
    port: Port, seed: int, caplog: pytest.LogCaptureFixture
) -> None:
    """He encrypts whatever he likes: RTP and RTCP that libsrtp lets through, SCTP that no stack would send."""
    chance, observer = random.Random(seed), Recorder()
    async with peer(udp_wire(port), port.new_transport(observer)) as mallory:
        await connect(mallory, observer)
        mallory.association().open("_reliable", reliable=True)
        await soon(observer.channels)
        for n in range(300):
            mallory.send_rtcp(struct.pack("!BBHI", 0x80, chance.randint(192, 223), 1, n % 50) + chance.randbytes(40))
            mallory.send_sctp(_sctp_garbage(chance, mallory))
            if n % 30 == 0:
                await mallory.check()
        await mallory.check()
        mallory.send_rtp(rtp(1))

        assert await soon(observer.rtp) == rtp(1)
        assert_nothing_reported(caplog)


def _sctp_garbage(chance: random.Random, mallory: Peer) -> bytes:
    return _garbage_chunk(chance, mallory.association()._sctp._remote_verification_tag)


def _garbage_chunk(chance: random.Random, tag: int) -> bytes:
    body = chance.randbytes(chance.choice((4, 16, 40)))
    kind = chance.choice((0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 14, 130, 192))
    chunk = struct.pack("!BBH", kind, chance.randrange(8), 4 + len(body)) + body
    header = struct.pack("!HHI", 5000, 5000, 0 if kind == 1 else tag)
    return header + struct.pack("<I", crc32c(header + b"\0" * 4 + chunk)) + chunk


@pytest.mark.parametrize("seed", SEEDS)
async def test_an_association_takes_garbage_in_every_state(seed: int, caplog: pytest.LogCaptureFixture) -> None:
    chance = random.Random(seed)
    for _ in range(60):
        server, client, tag = _associated(established=chance.random() < 0.8)
        for _ in range(15):
            server.receive(_garbage_chunk(chance, tag))
        client.close()
        server.close()
        await asyncio.sleep(0)
    assert_nothing_reported(caplog)


def _associated(*, established: bool) -> tuple[DataChannels, DataChannels, int]:
    """Two ends with nothing between them, and the tag that the server's packets must have."""
    packets: deque[tuple[str, bytes]] = deque()
    server = new_data_channels(Recorder(), lambda packet: packets.append(("client", packet)))
    client = new_data_channels(Recorder(), lambda packet: packets.append(("server", packet)), server=False)
    ends = {"server": server, "client": client}
    server.start()
    client.start()
    for _ in range(20 if established else 2):
        if packets:
            whose, packet = packets.popleft()
            ends[whose].receive(packet)
    assert not established or server._sctp.state == "connected"
    return server, client, server._sctp._local_verification_tag


@pytest.mark.parametrize("seed", SEEDS)
async def test_a_handshake_of_garbage_fails_by_itself(port: Port, seed: int, caplog: pytest.LogCaptureFixture) -> None:
    chance, observer = random.Random(seed), Recorder()
    async with peer(udp_wire(port), port.new_transport(observer)) as mallory:
        await mallory.check()
        mallory.transport.expect("sha-256", mallory.identity.fingerprint)
        mallory.deaf = True
        mallory.start_handshake()
        for _ in range(200):
            kind = chance.choice((20, 21, 22, 23))
            record = struct.pack("!BHHIHH", kind, 0xFEFD, 0, 0, chance.randrange(9), 40) + chance.randbytes(40)
            mallory.wire.send(record)
        await _settled(port)

        assert not mallory.transport.connected
        assert_nothing_reported(caplog)


async def _settled(port: Port) -> None:
    async with peer(udp_wire(port), port.new_transport(Recorder())) as bob:
        await bob.check()


async def test_streams_of_one_peer_are_bounded(port: Port, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport_module, "MAX_SSRCS", 20)
    observer = Recorder()
    async with peer(udp_wire(port), port.new_transport(observer)) as mallory:
        await connect(mallory, observer)
        for n in range(21):
            mallory.send_rtp(rtp(1, ssrc=n + 1))

        assert "streams" in await soon(observer.failed)


async def test_a_flood_of_connections_with_garbage_leaves_nothing(port: Port) -> None:
    chance = random.Random(1)
    for _ in range(30):
        wire = await tcp_wire(port)
        wire.sock.sendall(chance.randbytes(200))
        wire.sock.close()
    while port._listener._paths:  # type: ignore[union-attr]
        await asyncio.sleep(0.01)
    assert not port._listener._by_host  # type: ignore[union-attr]

"""Data channels over SCTP over DTLS, and peers who abuse them."""

from __future__ import annotations

import asyncio
import struct
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from google_crc32c import value as crc32c

from tests.voice.transport.peer import PATIENCE, Peer, Recorder, peer, rtp, soon, tcp_wire, udp_wire
from voice.sfu.embedded.transport import Port
from voice.sfu.embedded.transport.limits import MAX_CHANNELS, MAX_LABEL, MAX_MESSAGE, MAX_STREAM_ID, MAX_STREAMS
from voice.sfu.embedded.transport.sctp_screen import is_harmless

FIRST, LAST, UNORDERED = 2, 1, 4
BINARY = 53


@asynccontextmanager
async def connected(port: Port, protocol: str = "udp") -> AsyncIterator[tuple[Peer, Recorder]]:
    observer = Recorder()
    wire = udp_wire(port) if protocol == "udp" else await tcp_wire(port)
    async with peer(wire, port.new_transport(observer)) as alice:
        await alice.connect()
        await asyncio.wait_for(observer.connected.wait(), PATIENCE)
        yield alice, observer


async def open_channel(alice: Peer, observer: Recorder, label: str, *, reliable: bool = True) -> None:
    alice.association().open(label, reliable=reliable)
    assert await soon(observer.channels) == label
    assert await soon(alice.channel_events.channels) == label


@pytest.mark.parametrize("protocol", ["udp", "tcp"])
@pytest.mark.parametrize("reliable", [True, False])
async def test_alice_opens_a_channel_and_both_use_it(port: Port, protocol: str, reliable: bool) -> None:
    async with connected(port, protocol) as (alice, observer):
        await open_channel(alice, observer, "_reliable", reliable=reliable)

        assert alice.association().send("_reliable", b"hello")
        assert await soon(observer.data) == ("_reliable", b"hello")
        assert alice.transport.send_data("_reliable", b"hello yourself")
        assert await soon(alice.channel_events.data) == ("_reliable", b"hello yourself")


async def test_the_server_opens_channels_for_old_clients(port: Port) -> None:
    observer = Recorder()
    async with peer(udp_wire(port), port.new_transport(observer)) as alice:
        alice.transport.open_channel("_reliable", reliable=True)
        alice.transport.open_channel("_lossy", reliable=False)
        assert not alice.transport.send_data("_reliable", b"too early")
        await alice.connect()

        assert {await soon(alice.channel_events.channels) for _ in range(2)} == {"_reliable", "_lossy"}
        assert {await soon(observer.channels) for _ in range(2)} == {"_reliable", "_lossy"}
        assert alice.transport.send_data("_lossy", b"position")
        assert await soon(alice.channel_events.data) == ("_lossy", b"position")


async def test_the_longest_message_goes_through_and_a_longer_one_is_refused(port: Port) -> None:
    async with connected(port) as (alice, observer):
        await open_channel(alice, observer, "_reliable")
        longest = bytes(range(256)) * (MAX_MESSAGE // 256)

        assert alice.association().send("_reliable", longest)
        assert await soon(observer.data) == ("_reliable", longest)
        assert alice.transport.send_data("_reliable", longest)
        assert await soon(alice.channel_events.data) == ("_reliable", longest)
        assert not alice.transport.send_data("_reliable", longest + b"!")


async def test_what_a_peer_does_not_read_does_not_pile_up(port: Port) -> None:
    async with connected(port) as (alice, observer):
        await open_channel(alice, observer, "_reliable")
        await alice.stop()
        taken = 0
        while alice.transport.send_data("_reliable", b"x" * MAX_MESSAGE):
            taken += 1
            await asyncio.sleep(0)
            assert taken < 20

        assert taken > 1


def test_no_codecs_were_loaded_for_it() -> None:
    assert "av" not in sys.modules
    assert not [name for name in sys.modules if name.split(".")[0] == "aiortc"]


# --- Mallory ---------------------------------------------------------------------------------------------------------


def chunk(kind: int, flags: int, body: bytes) -> bytes:
    return struct.pack("!BBH", kind, flags, len(body) + 4) + body + b"\0" * (-len(body) % 4)


def sctp_packet(tag: int, *chunks: bytes) -> bytes:
    header, body = struct.pack("!HHI", 5000, 5000, tag), b"".join(chunks)
    return header + struct.pack("<I", crc32c(header + b"\0" * 4 + body)) + body


def data_chunk(tsn: int, stream: int, payload: bytes, flags: int = FIRST | LAST | UNORDERED) -> bytes:
    return chunk(0, flags, struct.pack("!IHHI", tsn, stream, 0, BINARY) + payload)


async def _established(mallory: Peer, observer: Recorder) -> tuple[int, int]:
    """The verification tag the server wants, and the next TSN it expects."""
    await open_channel(mallory, observer, "_reliable")
    sctp = mallory.association()._sctp
    return sctp._remote_verification_tag, sctp._local_tsn


async def _still_in_the_call(mallory: Peer, observer: Recorder) -> None:
    mallory.send_rtp(rtp(1))
    assert await soon(observer.rtp) == rtp(1)


def _ended(mallory: Peer) -> bool:
    return mallory.transport._channels.over  # type: ignore[attr-defined, no-any-return]


@pytest.mark.parametrize(
    "harmful",
    [
        pytest.param(chunk(4, 0, b"\0\1\0\0rest"), id="a parameter of length 0"),
        pytest.param(chunk(130, 0, b"\0\x0d\0\3rest"), id="a parameter shorter than its header"),
        pytest.param(
            chunk(3, 0, struct.pack("!IIHH", 0, 9999, 100, 0) + b"\0\1\xff\xff" * 100), id="gaps without an end"
        ),
        pytest.param(
            chunk(3, 0, struct.pack("!IIHH", 0, 9999, 1, 0) + b"\0\5\0\1"), id="a gap that ends before it starts"
        ),
        pytest.param(data_chunk(1, MAX_STREAM_ID, b"x"), id="a stream number no client uses"),
        pytest.param(chunk(192, 0, struct.pack("!IHH", 0, 60000, 0)), id="a skipped stream no client uses"),
        pytest.param(chunk(130, 0, b"\0\x0d\0\6ab"), id="a reset cut short"),
    ],
)
async def test_a_packet_that_would_hang_the_library_ends_the_association(port: Port, harmful: bytes) -> None:
    async with connected(port) as (mallory, observer):
        tag, _ = await _established(mallory, observer)
        mallory.send_sctp(sctp_packet(tag, harmful))

        await _still_in_the_call(mallory, observer)
        assert _ended(mallory)
        assert not mallory.transport.send_data("_reliable", b"x")


async def test_half_received_messages_are_bounded_in_bytes(port: Port) -> None:
    async with connected(port) as (mallory, observer):
        tag, tsn = await _established(mallory, observer)
        for n in range(400):
            mallory.send_sctp(sctp_packet(tag, data_chunk(tsn + n, 0, b"x" * 1100, FIRST if not n else 0)))
            if n % 50 == 0:
                await mallory.check()

        await _still_in_the_call(mallory, observer)
        assert _ended(mallory)


async def test_half_received_messages_are_bounded_in_pieces(port: Port) -> None:
    async with connected(port) as (mallory, observer):
        tag, tsn = await _established(mallory, observer)
        for n in range(0, 1200, 40):
            pieces = [data_chunk(tsn + n + m, 0, b"x", FIRST if not n + m else 0) for m in range(40)]
            mallory.send_sctp(sctp_packet(tag, *pieces))
            await mallory.check()

        await _still_in_the_call(mallory, observer)
        assert _ended(mallory)


async def test_streams_are_bounded(port: Port) -> None:
    async with connected(port) as (mallory, observer):
        tag, tsn = await _established(mallory, observer)
        for n in range(MAX_STREAMS + 1):
            mallory.send_sctp(sctp_packet(tag, data_chunk(tsn + n, n, b"x")))

        await _still_in_the_call(mallory, observer)
        assert _ended(mallory)


async def test_channels_are_bounded(port: Port) -> None:
    async with connected(port) as (mallory, observer):
        await _established(mallory, observer)
        for n in range(MAX_CHANNELS + 1):
            mallory.association().open(f"channel {n}", reliable=True)
        while not _ended(mallory):
            await mallory.check()

        await _still_in_the_call(mallory, observer)


async def test_a_label_is_bounded(port: Port) -> None:
    async with connected(port) as (mallory, observer):
        await _established(mallory, observer)
        mallory.association().open("x" * (MAX_LABEL + 1), reliable=True)
        while not _ended(mallory):
            await mallory.check()


async def test_text_is_no_packet_of_livekit(port: Port) -> None:
    async with connected(port) as (alice, observer):
        await open_channel(alice, observer, "_reliable")
        alice.association()._open["_reliable"].send("text")
        alice.association().send("_reliable", b"bytes")

        assert await soon(observer.data) == ("_reliable", b"bytes")


def test_ordinary_packets_are_harmless() -> None:
    selective_ack = chunk(3, 0, struct.pack("!IIHH", 0, 9999, 2, 0) + struct.pack("!HHHH", 2, 5, 7, 900))
    heartbeat = chunk(4, 0, b"\0\1\0\x0cwhatever")
    reset = chunk(130, 0, struct.pack("!HHIIIH", 13, 18, 1, 1, 1, 0) + b"\0\0")
    skip = chunk(192, 0, struct.pack("!IHH", 77, 2, 3))

    assert is_harmless(sctp_packet(1, selective_ack, heartbeat, reset, skip, data_chunk(1, 4, b"hello")))

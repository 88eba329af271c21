"""Media over TCP: framing, bounds, and who is let in."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from tests.voice.transport.peer import PATIENCE, Peer, Recorder, check, number_of, peer, rtp, soon, tcp_wire, udp_wire
from voice.sfu.embedded.transport import Port, limits, tcp
from voice.sfu.embedded.transport.framing import FrameReader, FrameTooLong, framed


@asynccontextmanager
async def connected(port: Port) -> AsyncIterator[tuple[Peer, Recorder]]:
    observer = Recorder()
    async with peer(await tcp_wire(port), port.new_transport(observer)) as alice:
        await alice.connect()
        yield alice, observer


async def _is_closed(sock: socket.socket) -> bool:
    try:
        return await asyncio.wait_for(asyncio.get_running_loop().sock_recv(sock, 100), PATIENCE) == b""
    except ConnectionError:
        return True


def test_frames_come_out_whole_however_they_are_cut() -> None:
    stream = framed(b"first") + framed(b"") + framed(b"second" * 100)
    for cut in range(1, 12):
        reader = FrameReader()
        pieces = [stream[at : at + cut] for at in range(0, len(stream), cut)]
        assert [frame for piece in pieces for frame in reader.feed(piece)] == [b"first", b"second" * 100]


def test_a_frame_longer_than_any_packet_is_refused() -> None:
    with pytest.raises(FrameTooLong):
        list(FrameReader().feed((limits.MAX_DATAGRAM + 1).to_bytes(2, "big")))


async def test_over_ipv6_too(port: Port) -> None:
    async with peer(await tcp_wire(port, "::1"), port.new_transport(Recorder())) as alice:
        answer = await alice.check()
        assert answer.attributes["XOR-MAPPED-ADDRESS"] == alice.wire.sock.getsockname()[:2]


async def test_packets_may_arrive_in_pieces(port: Port) -> None:
    async with connected(port) as (alice, observer):
        frame = framed(alice.protected(rtp(1)))
        for byte in frame[:10]:
            alice.wire.sock.sendall(bytes([byte]))
            await asyncio.sleep(0)
        alice.wire.sock.sendall(frame[10:] + framed(alice.protected(rtp(2))))

        assert [await soon(observer.rtp), await soon(observer.rtp)] == [rtp(1), rtp(2)]


@pytest.mark.parametrize(
    "first",
    [
        pytest.param(b"GET / HTTP/1.1\r\n\r\n", id="a browser"),
        pytest.param(framed(rtp(1)), id="media"),
        pytest.param(framed(b"\x16\xfe\xff" + bytes(40)), id="DTLS"),
        pytest.param(framed(check("nobody", "nothing")), id="a check for nobody"),
        pytest.param(b"\xff\xff", id="a frame too long"),
    ],
)
async def test_strangers_are_cut_off_at_the_first_word(port: Port, first: bytes) -> None:
    wire = await tcp_wire(port)
    wire.sock.sendall(first)

    assert await _is_closed(wire.sock)
    wire.sock.close()


async def test_strangers_who_say_nothing_are_cut_off(port: Port, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tcp, "TCP_STRANGER_SECONDS", 0.05)
    wire = await tcp_wire(port)

    assert await _is_closed(wire.sock)
    wire.sock.close()


async def test_a_client_who_falls_silent_is_cut_off(port: Port, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tcp, "TCP_STRANGER_SECONDS", 0.05)
    monkeypatch.setattr(tcp, "TCP_SILENT_SECONDS", 0.05)
    transport = port.new_transport(Recorder())
    wire = await tcp_wire(port)
    wire.sock.sendall(framed(check(transport.ufrag, transport.password)))
    await asyncio.wait_for(asyncio.get_running_loop().sock_recv(wire.sock, 500), PATIENCE)
    assert transport.protocol == "tcp"

    assert await _is_closed(wire.sock)
    assert transport.protocol == "none"
    wire.sock.close()


async def test_connections_of_one_address_are_bounded(port: Port, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tcp, "MAX_TCP_PER_ADDRESS", 2)
    wires = [await tcp_wire(port) for _ in range(2)]
    refused = await tcp_wire(port)
    assert await _is_closed(refused.sock)
    for wire in (*wires, refused):
        wire.sock.close()

    while port._listener._paths:  # type: ignore[union-attr]
        await asyncio.sleep(0.01)
    async with connected(port):
        pass


async def test_strangers_do_not_keep_clients_out_for_ever(port: Port, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tcp, "MAX_TCP_STRANGERS", 1)
    async with connected(port), connected(port):
        mallory = await tcp_wire(port)
        async with connected(port):
            assert await _is_closed(mallory.sock), "he said nothing, and somebody else needed the place"
        mallory.sock.close()


async def test_media_for_a_slow_peer_is_dropped_not_kept(port: Port) -> None:
    async with connected(port) as (alice, _):
        assert alice.reader is not None
        alice.reader.cancel()
        for n in range(6000):
            alice.transport.send_rtp(rtp(n, payload=b"x" * 1200), 111)
            await asyncio.sleep(0)

        waiting = alice.transport._path._wire.get_write_buffer_size()  # type: ignore[attr-defined]
        assert port.counters.dropped > 0
        assert waiting < limits.MAX_TCP_BACKLOG + 2000


async def test_when_the_connection_breaks_media_goes_by_udp_again(port: Port) -> None:
    observer = Recorder()
    transport = port.new_transport(observer)
    async with peer(udp_wire(port), transport) as alice:
        await alice.connect()
        stream = await tcp_wire(port)
        stream.sock.sendall(framed(alice.request()))
        await asyncio.wait_for(asyncio.get_running_loop().sock_recv(stream.sock, 500), PATIENCE)
        assert transport.protocol == "tcp"

        stream.sock.close()
        while transport.protocol == "tcp":
            await asyncio.sleep(0.01)
        transport.send_rtp(rtp(1), 111)
        assert await alice.next_rtp() == rtp(1)


async def test_closing_a_transport_closes_its_connection(port: Port) -> None:
    async with connected(port) as (alice, _):
        transport = alice.transport
        assert alice.reader is not None
        alice.reader.cancel()
        transport.close()
        while await asyncio.wait_for(asyncio.get_running_loop().sock_recv(alice.wire.sock, 500), PATIENCE):
            pass

    assert not port._listener._paths  # type: ignore[union-attr]


def test_number_is_shared(port: Port) -> None:
    assert {candidate.port for candidate in port.candidates if candidate.protocol == "tcp"} == {number_of(port)}

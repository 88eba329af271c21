"""Handshake, keys, and packets both ways, over UDP and over TCP."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from tests.voice.transport.peer import (
    PATIENCE,
    Peer,
    Recorder,
    check,
    new_identity,
    peer,
    receiver_report,
    rtp,
    soon,
    tcp_wire,
    udp_wire,
)
from voice.sfu.embedded.transport import Port, open_media_port
from voice.sfu.embedded.transport import transport as transport_module
from voice.sfu.embedded.transport.egress import SLOTS
from voice.sfu.embedded.transport.paths import udp_path
from voice.sfu.embedded.transport.srtp import best_functions, wrapping_sessions


@asynccontextmanager
async def connected(port: Port, protocol: str = "udp") -> AsyncIterator[tuple[Peer, Recorder]]:
    observer = Recorder()
    wire = udp_wire(port) if protocol == "udp" else await tcp_wire(port)
    async with peer(wire, port.new_transport(observer)) as alice:
        await alice.connect()
        await asyncio.wait_for(observer.connected.wait(), PATIENCE)
        yield alice, observer


@pytest.mark.parametrize("protocol", ["udp", "tcp"])
async def test_packets_come_out_as_they_went_in(port: Port, protocol: str) -> None:
    async with connected(port, protocol) as (alice, observer):
        alice.send_rtp(rtp(1))
        assert await soon(observer.rtp) == rtp(1)
        alice.send_rtcp(receiver_report())
        assert await soon(observer.rtcp) == receiver_report()

        alice.transport.send_rtp(rtp(2), 0x80 | 96)
        assert await alice.next_rtp() == rtp(2, second_byte=0x80 | 96)
        alice.transport.send_rtcp(receiver_report(7))
        assert await alice.next_rtcp() == receiver_report(7)
        assert alice.transport.protocol == protocol


async def test_aes_128_gcm_is_preferred(port: Port) -> None:
    async with connected(port) as (alice, _):
        assert alice.dtls is not None
        keys = alice.dtls.keys()
        assert keys is not None
        assert keys.profile.name == b"SRTP_AEAD_AES_128_GCM"


async def test_one_packet_for_many_in_the_order_they_were_sent(port: Port) -> None:
    async with connected(port) as (alice, _), connected(port, "tcp") as (bob, _):
        stranger = port.new_transport(Recorder())
        for n in range(SLOTS):
            port.send_rtp_to_many(rtp(n), [(alice.transport, 111), (stranger, 100), (bob.transport, 63)])

        assert [await alice.next_rtp() for _ in range(SLOTS)] == [rtp(n) for n in range(SLOTS)]
        assert [await bob.next_rtp() for _ in range(SLOTS)] == [rtp(n, second_byte=63) for n in range(SLOTS)]
        assert port.counters.sent == 2 * SLOTS


@pytest.mark.parametrize("batched", [True, False])
@pytest.mark.parametrize("functions", [best_functions, wrapping_sessions])
async def test_all_ways_to_send_are_the_same_to_the_peer(batched: bool, functions: Callable[[], object]) -> None:
    port = await open_media_port("127.0.0.1", 0, [], batched=batched, functions=functions())  # type: ignore[arg-type]
    try:
        async with connected(port) as (alice, observer):
            for n in range(SLOTS + 3):
                alice.transport.send_rtp(rtp(n), 111)
            assert [await alice.next_rtp() for _ in range(SLOTS + 3)] == [rtp(n) for n in range(SLOTS + 3)]
            alice.send_rtp(rtp(9))
            assert await soon(observer.rtp) == rtp(9)
    finally:
        port.close()


@pytest.mark.parametrize("batched", [True, False])
async def test_one_who_cannot_be_reached_costs_the_others_nothing(batched: bool) -> None:
    port = await open_media_port("::", 0, ["127.0.0.1"], batched=batched)
    try:
        async with connected(port) as (alice, _), connected(port) as (bob, _), connected(port) as (carol, _):
            nowhere = udp_path(port._socket, ("::ffff:127.0.0.1", 0, 0, 0), lambda path: None)
            bob.transport._use(nowhere)  # type: ignore[attr-defined]
            for n in range(3):
                port.send_rtp_to_many(rtp(n), [(person.transport, 111) for person in (alice, bob, carol)])

            for person in (alice, carol):
                assert [await person.next_rtp() for _ in range(3)] == [rtp(n) for n in range(3)]
            assert (port.counters.sent, port.counters.dropped) == (6, 3)
    finally:
        port.close()


async def test_an_address_is_not_taken_from_one_who_was_heard_just_now(port: Port) -> None:
    """Mallory has a transport too, and writes Alice's address into his checks."""
    async with connected(port) as (alice, _):
        mallorys = port.new_transport(Recorder())
        alice.wire.send(check(mallorys.ufrag, mallorys.password))
        await alice.check()

        assert mallorys.protocol == "none"
        alice.transport.send_rtp(rtp(1), 111)
        assert await alice.next_rtp() == rtp(1)
        assert alice.checks.empty()


async def test_an_address_taken_over_by_another_connection_is_his(port: Port, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport_module, "PATH_RESPECT_NS", 0)
    async with connected(port) as (alice, _):
        other = Recorder()
        second = port.new_transport(other)
        alice.wire.send(check(second.ufrag, second.password))
        await soon(alice.checks)

        assert second.protocol == "udp"
        assert alice.transport.protocol == "none"
        alice.transport.send_rtp(rtp(1), 111)
        await alice.check()
        assert alice.transport.protocol == "udp"
        assert second.protocol == "none"
        assert alice.media.empty()


async def test_flush_sends_without_waiting_for_the_loop(port: Port) -> None:
    async with connected(port) as (alice, _):
        alice.transport.send_rtp(rtp(1), 111)
        assert port.counters.sent == 0
        port.flush()
        assert port.counters.sent == 1


async def test_a_repaired_packet_may_be_sent_twice_but_not_received_twice(port: Port) -> None:
    async with connected(port) as (alice, observer):
        alice.transport.send_rtp(rtp(1), 111)
        alice.transport.send_rtp(rtp(1), 111)
        assert await soon(alice.media) == await soon(alice.media)

        packet = alice.protected(rtp(5))
        alice.wire.send(packet)
        alice.wire.send(packet)
        alice.send_rtp(rtp(6))
        assert [await soon(observer.rtp), await soon(observer.rtp)] == [rtp(5), rtp(6)]
        assert port.counters.bad == 1


async def test_a_late_packet_is_taken(port: Port) -> None:
    async with connected(port) as (alice, observer):
        early = alice.protected(rtp(1))
        for n in range(2, 900):
            alice.protected(rtp(n))
        alice.send_rtp(rtp(900))
        alice.wire.send(early)

        assert [await soon(observer.rtp), await soon(observer.rtp)] == [rtp(900), rtp(1)]


async def test_media_from_an_address_without_a_check_is_thrown_away(port: Port) -> None:
    async with connected(port) as (alice, observer):
        packet = alice.protected(rtp(1))
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as mallory:
            mallory.sendto(packet, alice.wire.target)
        alice.send_rtp(rtp(2))

        assert await soon(observer.rtp) == rtp(2)
        assert port.counters.bad == 1


async def test_nothing_is_sent_before_the_handshake(port: Port) -> None:
    async with peer(udp_wire(port), port.new_transport(Recorder())) as alice:
        await alice.check()
        alice.transport.send_rtp(rtp(1), 111)
        alice.transport.send_rtcp(receiver_report())
        await alice.check()

        assert alice.media.empty()
        assert not alice.transport.connected


async def test_the_handshake_waits_for_the_description(port: Port) -> None:
    observer = Recorder()
    async with peer(udp_wire(port), port.new_transport(observer)) as alice:
        await alice.check()
        alice.start_handshake()
        await alice.check()
        assert not alice.shaken.is_set()

        alice.transport.expect("sha-256", alice.identity.fingerprint)
        await asyncio.wait_for(alice.shaken.wait(), PATIENCE)
        await asyncio.wait_for(observer.connected.wait(), PATIENCE)


async def test_mallory_with_another_certificate_gets_no_keys(port: Port) -> None:
    observer = Recorder()
    async with peer(udp_wire(port), port.new_transport(observer)) as mallory:
        await mallory.check()
        mallory.transport.expect("sha-256", new_identity().fingerprint)
        mallory.start_handshake()

        assert "certificate" in await soon(observer.failed)
        assert not mallory.transport.connected
        assert not mallory.shaken.is_set()


async def test_a_hash_nobody_trusts_is_no_proof(port: Port) -> None:
    observer = Recorder()
    async with peer(udp_wire(port), port.new_transport(observer)) as mallory:
        await mallory.check()
        mallory.transport.expect("sha-1", "AA:BB")
        mallory.start_handshake()

        assert "certificate" in await soon(observer.failed)


async def test_a_lost_flight_of_the_handshake_is_repeated(port: Port) -> None:
    observer = Recorder()
    async with peer(udp_wire(port), port.new_transport(observer)) as alice:
        await alice.check()
        alice.transport.expect("sha-256", alice.identity.fingerprint)
        alice.deaf = True
        alice.start_handshake()
        await alice.check()
        alice.deaf = False

        await asyncio.wait_for(observer.connected.wait(), PATIENCE)


async def test_goodbye_ends_the_transport(port: Port) -> None:
    async with connected(port) as (alice, observer):
        alice.goodbye()

        assert "closed" in await soon(observer.failed)
        assert not alice.transport.connected
        assert alice.transport.protocol == "none"


async def test_a_description_with_another_certificate_later_ends_the_transport(port: Port) -> None:
    async with connected(port) as (alice, observer):
        alice.transport.expect("sha-256", alice.identity.fingerprint)
        assert alice.transport.connected
        alice.transport.expect("sha-256", new_identity().fingerprint)

        assert "certificate" in await soon(observer.failed)
        assert not alice.transport.connected


async def test_closing_tells_the_peer_and_not_the_observer(port: Port) -> None:
    async with connected(port) as (alice, observer):
        alice.transport.send_rtp(rtp(1), 111)
        alice.transport.close()
        alice.transport.close()
        alice.transport.send_rtp(rtp(2), 111)

        assert await alice.next_rtp() == rtp(1)
        assert observer.failed.empty()
        assert not port._transports


async def test_a_fault_above_costs_one_packet(port: Port) -> None:
    async with connected(port) as (alice, observer):
        observer.faults = 1
        alice.send_rtp(rtp(1))
        alice.send_rtp(rtp(2))

        assert await soon(observer.rtp) == rtp(2)


async def test_the_loss_of_tests_is_of_rtp_only() -> None:
    lost = iter([False, True, False])
    port = await open_media_port("127.0.0.1", 0, [], loss=lambda: next(lost))
    try:
        async with connected(port) as (alice, _):
            for n in range(3):
                alice.transport.send_rtp(rtp(n), 111)
            alice.transport.send_rtcp(receiver_report())

            assert [await alice.next_rtp(), await alice.next_rtp()] == [rtp(0), rtp(2)]
            assert await alice.next_rtcp() == receiver_report()
    finally:
        port.close()


async def test_a_packet_too_long_for_any_path_is_not_sent(port: Port) -> None:
    async with connected(port) as (alice, _):
        alice.transport.send_rtp(rtp(1, payload=b"x" * 1500), 111)
        alice.transport.send_rtp(rtp(2), 111)

        assert await alice.next_rtp() == rtp(2)
        assert port.counters.dropped == 1

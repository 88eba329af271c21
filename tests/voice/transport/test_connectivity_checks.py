"""Who is answered, and where media goes: ICE-lite over UDP."""

from __future__ import annotations

import asyncio
import secrets

from aioice import stun

from tests.voice.transport.peer import PATIENCE, Peer, Recorder, check, number_of, peer, rtp, udp_wire
from voice.sfu.embedded.transport import Port, open_media_port
from voice.sfu.embedded.transport.limits import MAX_PATHS

UNKNOWN_ATTRIBUTE = b"\x00\x77\x00\x04abcd"


async def test_alice_is_told_the_address_she_comes_from(port: Port) -> None:
    transport = port.new_transport(Recorder())
    async with peer(udp_wire(port), transport) as alice:
        answer = await alice.check()

        assert answer.message_class == stun.Class.RESPONSE
        assert answer.attributes["XOR-MAPPED-ADDRESS"] == alice.wire.sock.getsockname()
        assert answer.check_message_integrity(transport.password.encode())
        assert transport.protocol == "udp"


async def test_over_ipv6_too(port: Port) -> None:
    async with peer(udp_wire(port, "::1"), port.new_transport(Recorder())) as alice:
        assert (await alice.check()).attributes["XOR-MAPPED-ADDRESS"] == alice.wire.sock.getsockname()[:2]


async def test_mallory_gets_no_answer_without_the_password(port: Port) -> None:
    transport = port.new_transport(Recorder())
    async with peer(udp_wire(port), transport) as mallory, peer(udp_wire(port), transport) as alice:
        for forged in (
            check(transport.ufrag, "not her password"),
            check("nobody", transport.password),
            mallory.request()[:-8],
            mallory.request()[:-1] + b"\0",
            b"\0\1" + secrets.token_bytes(90),
        ):
            mallory.wire.send(forged)
        await alice.check()

        assert mallory.checks.empty()
        assert port.counters.bad == 5
        assert len(port._by_address) == 1, "only hers is remembered"


async def test_a_check_that_mallory_recorded_does_not_move_her_media(port: Port) -> None:
    observer = Recorder()
    transport = port.new_transport(observer)
    async with peer(udp_wire(port), transport) as alice, peer(udp_wire(port), transport) as mallory:
        recorded = alice.request()
        alice.wire.send(recorded)
        await asyncio.wait_for(alice.checks.get(), PATIENCE)
        transport.expect("sha-256", alice.identity.fingerprint)
        alice.start_handshake()
        await asyncio.wait_for(alice.shaken.wait(), PATIENCE)

        mallory.wire.send(recorded)
        await alice.check()
        transport.send_rtp(rtp(1), 111)

        assert await alice.next_rtp() == rtp(1)
        assert mallory.checks.empty()


async def test_media_follows_alice_to_another_network(port: Port) -> None:
    observer = Recorder()
    transport = port.new_transport(observer)
    async with peer(udp_wire(port), transport) as alice:
        await alice.connect()
        await alice.move_to(udp_wire(port))

        await alice.check(nominate=False)
        assert port._by_address[_seen(alice)].transport is transport
        await alice.check(nominate=True)
        transport.send_rtp(rtp(7), 111)

        assert await alice.next_rtp() == rtp(7)
        alice.send_rtp(rtp(8))
        assert await asyncio.wait_for(observer.rtp.get(), PATIENCE) == rtp(8)


def _seen(alice: Peer) -> tuple[str, int, int, int]:
    """Her address as the dual-stack socket shows it."""
    host, number = alice.wire.sock.getsockname()
    return (f"::ffff:{host}", number, 0, 0)


async def test_of_many_addresses_of_one_peer_the_oldest_are_forgotten(port: Port) -> None:
    transport = port.new_transport(Recorder())
    async with peer(udp_wire(port), transport) as alice:
        await alice.check()
        for _ in range(2 * MAX_PATHS):
            async with peer(udp_wire(port), transport) as elsewhere:
                await elsewhere.check(nominate=False)

        assert len(port._by_address) == MAX_PATHS
        assert _seen(alice) in port._by_address, "where her media goes"


async def test_after_a_restart_of_ice_old_credentials_hold_until_the_new_are_used(port: Port) -> None:
    transport = port.new_transport(Recorder())
    async with peer(udp_wire(port), transport) as alice:
        await alice.check()
        old = (transport.ufrag, transport.password)
        transport.restart_ice()
        assert (transport.ufrag, transport.password) != old

        alice.wire.send(check(*old))
        assert (await asyncio.wait_for(alice.checks.get(), PATIENCE)).message_class == stun.Class.RESPONSE
        await alice.check()
        alice.wire.send(check(*old))
        await alice.check()

        assert alice.checks.empty(), "the old ones are void now"
        assert old[0] not in port._by_name


async def test_media_goes_on_through_a_restart_of_ice(port: Port) -> None:
    transport = port.new_transport(Recorder())
    async with peer(udp_wire(port), transport) as alice:
        await alice.connect()
        transport.restart_ice()
        transport.send_rtp(rtp(1), 111)
        assert await alice.next_rtp() == rtp(1)

        await alice.move_to(udp_wire(port))
        await alice.check()
        transport.send_rtp(rtp(2), 111)
        assert await alice.next_rtp() == rtp(2)


async def test_who_believes_to_be_controlled_is_told_of_the_conflict(port: Port) -> None:
    async with peer(udp_wire(port), port.new_transport(Recorder())) as alice:
        answer = await alice.check(controlled=True)

        assert answer.attributes["ERROR-CODE"][0] == 487
        assert port._by_address == {}


async def test_attributes_that_must_be_understood_and_are_not_are_named(port: Port) -> None:
    async with peer(udp_wire(port), port.new_transport(Recorder())) as alice:
        answer = await alice.check(extra=UNKNOWN_ATTRIBUTE)

        assert answer.attributes["ERROR-CODE"][0] == 420


async def test_nobody_is_answered_for_a_closed_transport(port: Port) -> None:
    transport = port.new_transport(Recorder())
    async with peer(udp_wire(port), transport) as alice, peer(udp_wire(port), port.new_transport(Recorder())) as bob:
        await alice.check()
        transport.close()
        alice.wire.send(alice.request())
        await bob.check()

        assert alice.checks.empty()
        assert len(port._by_address) == len(port._by_name) == len(port._transports) == 1


async def test_silence_is_counted_from_the_last_authentic_packet(port: Port) -> None:
    transport = port.new_transport(Recorder())
    async with peer(udp_wire(port), transport) as alice:
        await alice.check()
        transport.heard_ns -= 3_000_000_000  # type: ignore[attr-defined]  # three seconds pass
        alice.wire.send(check(transport.ufrag, "guessed"))
        async with peer(udp_wire(port), port.new_transport(Recorder())) as bob:
            await bob.check()
        assert transport.silent_ms >= 3000

        await alice.check()
        assert transport.silent_ms < 3000


async def test_candidates_are_of_one_number_and_prefer_udp() -> None:
    opened = await open_media_port("127.0.0.1", 0, [])
    try:
        assert {candidate.port for candidate in opened.candidates} == {number_of(opened)}
        assert [(c.address, c.protocol) for c in opened.candidates] == [("127.0.0.1", "udp"), ("127.0.0.1", "tcp")]
        assert opened.candidates[0].priority > opened.candidates[1].priority
    finally:
        opened.close()


async def test_a_name_to_advertise_is_looked_up() -> None:
    opened = await open_media_port("127.0.0.1", 0, ["localhost", "198.51.100.7"])
    try:
        addresses = [candidate.address for candidate in opened.candidates]
        assert "127.0.0.1" in addresses
        assert "198.51.100.7" in addresses
        assert "localhost" not in addresses
    finally:
        opened.close()

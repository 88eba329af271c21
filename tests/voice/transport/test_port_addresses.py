"""What clients are told to connect to."""

from __future__ import annotations

import ipaddress
import socket

import pytest

from tests.voice.transport.peer import Recorder, peer, tcp_wire, udp_wire
from voice.sfu.embedded.transport import open_media_port
from voice.sfu.embedded.transport.addresses import advertised, candidates, local_addresses, unmapped
from voice.sfu.embedded.transport.sendmmsg import packed_address
from voice.sfu.embedded.transport.sockets import bind_both


def test_addresses_of_the_machine_are_ones_that_others_can_reach() -> None:
    found = [ipaddress.ip_address(address) for address in local_addresses()]

    assert found
    assert not any(ip.is_link_local or ip.is_unspecified for ip in found)
    assert all(ip.is_loopback for ip in found) or not any(ip.is_loopback for ip in found)


def test_what_is_configured_comes_before_what_is_found_out() -> None:
    assert advertised("", ["203.0.113.5"], has_ipv6=True) == ["203.0.113.5"]
    assert advertised("192.0.2.1", [], has_ipv6=True) == ["192.0.2.1"]
    assert not any(":" in address for address in advertised("", [], has_ipv6=False))


def test_ipv4_is_shown_as_ipv4() -> None:
    assert unmapped("::ffff:192.0.2.1") == "192.0.2.1"
    assert unmapped("2001:db8::1") == "2001:db8::1"


def test_udp_of_any_address_is_preferred_to_tcp_of_any() -> None:
    found = candidates(["2001:db8::1", "192.0.2.1"], 10000, 10000)
    by_priority = sorted(found, key=lambda candidate: -candidate.priority)

    assert [(c.address, c.protocol) for c in by_priority] == [
        ("2001:db8::1", "udp"),
        ("192.0.2.1", "udp"),
        ("2001:db8::1", "tcp"),
        ("192.0.2.1", "tcp"),
    ]
    assert len({candidate.priority for candidate in found}) == 4


def test_packed_addresses_are_those_of_the_kernel() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        number = sock.getsockname()[1]
    assert packed_address(socket.AF_INET, ("127.0.0.1", number))[2:8] == number.to_bytes(2, "big") + b"\x7f\0\0\1"
    assert len(packed_address(socket.AF_INET6, ("fe80::1%3", 1, 0, 3))) == 28
    assert packed_address(socket.AF_INET6, ("fe80::1", 1, 0, 3))[-4:] == (3).to_bytes(4, "little")


def test_udp_and_tcp_have_the_same_number() -> None:
    udp, tcp = bind_both("127.0.0.1", 0)
    assert udp.getsockname()[1] == tcp.getsockname()[1]
    with pytest.raises(OSError, match="in use"):
        bind_both("127.0.0.1", udp.getsockname()[1])
    udp.close()
    tcp.close()


@pytest.mark.parametrize("bind", ["0.0.0.0", "127.0.0.1"])
async def test_a_port_without_ipv6_serves_both_protocols(bind: str) -> None:
    port = await open_media_port(bind, 0, ["127.0.0.1"])
    try:
        async with (
            peer(udp_wire(port), port.new_transport(Recorder())) as alice,
            peer(await tcp_wire(port), port.new_transport(Recorder())) as bob,
        ):
            await alice.connect()
            await bob.connect()
    finally:
        port.close()

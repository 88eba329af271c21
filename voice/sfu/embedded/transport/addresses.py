"""Our own addresses, and peers' as people write them."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Iterator, Sequence

import ifaddr

from voice.sfu.embedded.contracts import Candidate

SocketAddress = tuple[str, int] | tuple[str, int, int, int]
"""As the socket module gives it; with a scope for IPv6."""
Ip = ipaddress.IPv4Address | ipaddress.IPv6Address

_MAPPED = "::ffff:"
_FAR_AWAY = ("2000::", "198.18.0.1")
"""Inside the public ranges, of nobody (RFC 4291, RFC 2544)."""
_MAX_ADDRESSES = 8
"""Machines with many virtual networks have an address in each; a description names all of ours in each section."""
_HOST_PREFERENCE = 126
"""RFC 8445 section 5.1.2.2, recommended for host candidates."""


def unmapped(host: str) -> str:
    """IPv4 addresses that a dual-stack socket shows as IPv6 (RFC 4291 section 2.5.5.2), as IPv4."""
    return host[len(_MAPPED) :] if host.startswith(_MAPPED) and "." in host else host


def is_any(bind: str) -> bool:
    """Whether this means all addresses of the machine, of both families."""
    return bind in ("", "*", "::", "0.0.0.0")  # noqa: S104 - named, not bound


def local_addresses() -> list[str]:
    """Addresses of this machine's interfaces that others could reach; the loopback ones if there are none.

    Those that the default routes leave from come first, IPv6 before IPv4. Link-local ones are left out: they mean
    nothing without an interface, and candidates carry none.
    """
    found = sorted(set(_interface_addresses()), key=lambda ip: (-ip.version, int(ip)))
    reachable = [str(ip) for ip in found if not ip.is_loopback and not ip.is_link_local]
    routed = [address for address in map(_routed_address, _FAR_AWAY) if address in reachable]
    chosen = list(dict.fromkeys(routed + reachable)) or [str(ip) for ip in found if ip.is_loopback]
    return chosen[:_MAX_ADDRESSES] or ["127.0.0.1"]


def _routed_address(target: str) -> str | None:
    """Where a packet to there would leave from. None is sent: connecting a UDP socket only looks up the route."""
    family = socket.AF_INET6 if ":" in target else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.connect((target, 9))
            return str(probe.getsockname()[0])
    except OSError:
        return None


def _interface_addresses() -> Iterator[Ip]:
    for adapter in ifaddr.get_adapters():
        for address in adapter.ips:
            text = address.ip if isinstance(address.ip, str) else address.ip[0]
            ip = ipaddress.ip_address(text.partition("%")[0])
            if not ip.is_multicast and not ip.is_unspecified:
                yield ip


def advertised(bound: str, configured: Sequence[str], *, has_ipv6: bool) -> list[str]:
    """What to tell clients: what is configured, else the one we are bound to, else (`bound` empty) the interfaces'."""
    if configured:
        return list(configured)
    if bound:
        return [bound]
    return [address for address in local_addresses() if has_ipv6 or ":" not in address] or ["127.0.0.1"]


def candidates(addresses: Sequence[str], port: int, tcp_port: int | None) -> list[Candidate]:
    """Host candidates, the first address preferred, UDP always before TCP.

    Every transport of every address is worth less than the one before (RFC 8421 wants families mixed by preference,
    which is the order given). TCP only where somebody listens.
    """
    udp = [Candidate(address, port, "udp", _priority(65535 - n)) for n, address in enumerate(addresses)]
    if tcp_port is None:
        return udp
    # RFC 6544 section 4.2: below UDP of the same type; its local preference has the direction in the upper bits,
    # 4 for passive host candidates.
    tcp = [Candidate(address, tcp_port, "tcp", _priority((4 << 13) + 8191 - n)) for n, address in enumerate(addresses)]
    return udp + tcp


def _priority(local_preference: int) -> int:
    """RFC 8445 section 5.1.2.1, component 1."""
    return (_HOST_PREFERENCE << 24) | (local_preference << 8) | 255

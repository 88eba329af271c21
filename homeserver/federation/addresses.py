"""Which IP addresses this server connects to: names of other servers are chosen by strangers, and may lead inside."""
# ruff: noqa: N818  (as in protocol/errors.py)

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Iterable
from typing import Final, TypeAlias

IpAddress: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address
# As aiohttp hands it to a socket factory: family, type, protocol, canonical name, address.
AddressInfo: TypeAlias = tuple[int, int, int, str, tuple[str, int] | tuple[str, int, int, int]]

# An IPv4 address in their last 32 bits, reached by a translator that may stand anywhere: RFC 6052, section 2.1; RFC 8215 (whose
# prefix a network may divide otherwise); RFC 2765, section 2.1; and RFC 4291, section 2.5.5.1, which is deprecated.
TRANSLATED: Final = tuple(
    map(ipaddress.IPv6Network, ("64:ff9b::/96", "64:ff9b:1::/48", "::ffff:0:0:0/96", "::/96")),
)
# `::` and `::1` are addresses of their own.
LARGEST_OF_THEIR_OWN: Final = ipaddress.IPv6Address("::ffff")


class AddressDenied(OSError):
    """An address that the administrator does not want contacted (settings: ip_denylist)."""


class AddressGuard:
    """Asked for every connection at the moment it is made, when no name can change its meaning any more."""

    __slots__ = ("_denied",)

    def __init__(self, denied_networks: Iterable[str]) -> None:
        self._denied = [ipaddress.ip_network(network, strict=False) for network in denied_networks]

    def allows(self, address: str) -> bool:
        """Whether it may be contacted; never, where it is no IP address at all."""
        try:
            parsed = ipaddress.ip_address(address)
        except ValueError:
            return False
        return not any(each in network for each in _meanings(parsed) for network in self._denied)

    def open_socket(self, info: AddressInfo) -> socket.socket:
        """A socket for a connection to that address. Raises AddressDenied."""
        family, kind, protocol, _, address = info
        if not self.allows(str(address[0])):
            raise AddressDenied("this address may not be contacted")
        return socket.socket(family=family, type=kind, proto=protocol)


def _meanings(address: IpAddress) -> list[IpAddress]:
    """The address, and the IPv4 address that an IPv6 address stands for."""
    if isinstance(address, ipaddress.IPv4Address):
        return [address]
    teredo = address.teredo[1] if address.teredo else None
    inner = (address.ipv4_mapped, address.sixtofour, teredo, _translated(address))
    return [address, *(each for each in inner if each is not None)]


def _translated(address: ipaddress.IPv6Address) -> ipaddress.IPv4Address | None:
    if int(address) <= int(LARGEST_OF_THEIR_OWN) or not any(address in network for network in TRANSLATED):
        return None
    return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)

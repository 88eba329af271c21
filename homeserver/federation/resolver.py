"""From a server name to where its server listens, which certificate it has to show, and what the Host header says.

The numbers are the steps of the server-server API, "Resolving server names".
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from homeserver.federation.bounded import Bounded
from homeserver.federation.dns import Dns, Service, Services
from homeserver.federation.well_known import WellKnown
from homeserver.protocol.errors import ConnectionFailed
from homeserver.protocol.identifiers import ServerAddress, parse_server_name

if TYPE_CHECKING:
    from homeserver.services.clock import Clock

DEFAULT_PORT: Final = 8448
MAX_TARGETS: Final = 4
"""How many of the places that an SRV record names are tried."""
MAX_LABEL: Final = 63
MAX_HOST: Final = 253
MAX_CACHED: Final = 10_000
MIN_TTL_S: Final = 60
MAX_TTL_S: Final = 24 * 60 * 60


@dataclass(frozen=True, slots=True)
class Target:
    """A name or IP address, and a port."""

    host: str
    port: int


@dataclass(frozen=True, slots=True)
class Route:
    """How to reach a server. `targets` in the order in which to try them; never empty.

    `tls_name` is what its certificate must be for, and the SNI where that is not an IP address.
    """

    host_header: str
    tls_name: str
    targets: Sequence[Target]


@dataclass(frozen=True, slots=True)
class _Cached:
    records: Sequence[Service]
    until_ms: int


def _cache() -> Bounded[str, _Cached]:
    return Bounded(MAX_CACHED)


@dataclass(slots=True)
class Resolver:
    """`random` gives numbers from 0 to 1, for the weights of SRV records."""

    dns: Dns
    well_known: WellKnown
    clock: Clock
    random: Callable[[], float]
    _services: Bounded[str, _Cached] = field(default_factory=_cache)

    async def resolve(self, server_name: str) -> Route:
        """Raises InvalidParam for what is no server name, ConnectionFailed where there can be no server."""
        address = parse_server_name(server_name)
        check_host(address)
        if address.is_ip_literal or address.port is not None:
            return direct(server_name, address)  # 1, 2
        delegated = await self.well_known.delegated(address.host)
        if delegated is None:
            return await self._by_service(address.host)  # 4, 5, 6
        there = parse_server_name(delegated)
        check_host(there)
        if there.is_ip_literal or there.port is not None:
            return direct(delegated, there)  # 3.1, 3.2
        return await self._by_service(there.host)  # 3.3, 3.4, 3.5

    def memory_usage(self) -> Mapping[str, int]:
        """Names whose SRV records are remembered."""
        return {"services": len(self._services)}

    async def _by_service(self, host: str) -> Route:
        # The second is deprecated, "may be removed in a future version", and still used.
        for service in ("_matrix-fed", "_matrix"):
            records = await self._records(f"{service}._tcp.{host}")
            if records:
                return Route(host, host, self._targets(records))
        return Route(host, host, (Target(host, DEFAULT_PORT),))

    async def _records(self, name: str) -> Sequence[Service]:
        cached = self._services.get(name)
        if cached is not None and self.clock.now_ms() < cached.until_ms:
            return cached.records
        found: Services = await self.dns.services(name)
        ttl_s = min(max(found.ttl_s, MIN_TTL_S), MAX_TTL_S)
        self._services.put(name, _Cached(found.records, self.clock.now_ms() + ttl_s * 1000))
        return found.records

    def _targets(self, records: Sequence[Service]) -> Sequence[Target]:
        # RFC 2782: "A Target of "." means that the service is decidedly not available at this domain."
        targets = [Target(each.target, each.port) for each in in_order(records, self.random) if each.target != "."]
        if not targets:
            raise ConnectionFailed("The other server's domain says that there is no server")
        return tuple(targets[:MAX_TARGETS])


def direct(server_name: str, address: ServerAddress) -> Route:
    """Without asking anybody: an IP address, or a name with a port. The Host header is the name as it is written."""
    return Route(server_name, address.host, (Target(address.host, address.port or DEFAULT_PORT),))


def check_host(address: ServerAddress) -> None:
    """The grammar of server names has names that no DNS can have. Raises ConnectionFailed."""
    if address.port == 0:
        raise ConnectionFailed("There is no port 0")
    if address.is_ip_literal:
        return
    labels = address.host.removesuffix(".").split(".")
    # A name whose last part is a number is what old programs read as an IPv4 address (127.1, 2130706433).
    bad = any(not 0 < len(label) <= MAX_LABEL for label in labels) or labels[-1].isdigit()
    if bad or len(address.host) > MAX_HOST:
        raise ConnectionFailed("The other server's name cannot be in the DNS")


def in_order(records: Sequence[Service], random: Callable[[], float]) -> list[Service]:
    """RFC 2782: lowest priority first; among equals, by chance and weight."""
    ordered = []
    for priority in sorted({each.priority for each in records}):
        left = [each for each in records if each.priority == priority]
        while left:
            ordered.append(left.pop(_pick([each.weight for each in left], random())))
    return ordered


def _pick(weights: Sequence[int], chance: float) -> int:
    """The index that a number from 0 to 1 falls on. A weight of 0 still has a small chance."""
    shares = [weight or 0.1 for weight in weights]
    mark = chance * sum(shares)
    for index, share in enumerate(shares):
        mark -= share
        if mark < 0:
            return index
    return len(shares) - 1

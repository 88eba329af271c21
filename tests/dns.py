"""A DNS that knows what a test tells it, and nothing else: no test asks the Internet."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from homeserver.federation.dns import Service, Services, SocketAddress

LOOPBACK = "127.0.0.1"


@dataclass(slots=True)
class FakeDns:
    """`dns.point("alice.example", 443, port)`: who connects to that name and port comes to that port of this machine."""

    hosts: dict[tuple[str, int], SocketAddress] = field(default_factory=dict)
    srv: dict[str, Sequence[Service]] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)

    def point(self, host: str, port: int, real_port: int, ip: str = LOOPBACK) -> None:
        self.hosts[(host, port)] = SocketAddress(ip, real_port)

    async def addresses(self, host: str, port: int) -> Sequence[SocketAddress]:
        self.asked.append(f"{host}:{port}")
        try:
            return [self.hosts[(host, port)]]
        except KeyError:
            raise OSError(f"there is no {host}:{port} in this test") from None

    async def services(self, name: str) -> Services:
        self.asked.append(name)
        return Services(self.srv.get(name, ()), 300)

    def close(self) -> None:
        """Nothing is open."""

"""Where those who run the server read its numbers."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from homeserver.http.endpoint import Auth, endpoint
from homeserver.http.request import Request
from homeserver.http.responses import Raw, Response
from homeserver.observability.metrics import CONTENT_TYPE, MemoryUsage, Metrics
from homeserver.observability.process import resident_bytes
from homeserver.protocol import errors

Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network


def is_within(text: str, networks: Sequence[Network]) -> bool:
    """Whether an address belongs to one of the networks; IPv4 that arrives on an IPv6 socket counts as IPv4."""
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return False
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    return any(address in network for network in networks)


@dataclass(frozen=True, slots=True)
class MetricsEndpoints:
    """For Prometheus, which has no account: the address decides."""

    metrics: Metrics
    allowed_networks: Sequence[Network]

    @endpoint("GET", "/metrics", auth=Auth.NONE, limit="none")
    async def read(self, request: Request[None]) -> Response:
        """All numbers since the start."""
        if not is_within(request.remote_address, self.allowed_networks):
            raise errors.Forbidden("Metrics are not for your address (metrics.allowed_networks)")
        return Raw(self.metrics.exposition(), CONTENT_TYPE)


@dataclass(frozen=True, slots=True)
class MemoryEndpoints:
    """For administrators: which service holds how much."""

    memory: Mapping[str, MemoryUsage]

    @endpoint("GET", "/_voicechat/admin/v1/memory", auth=Auth.ADMIN)
    async def report(self, request: Request[None]) -> Response:
        """Numbers of entries, or of bytes where the name says so, by service."""
        services = {name: dict(usage()) for name, usage in self.memory.items()}
        return {"process": {"resident_bytes": resident_bytes()}, "services": services}

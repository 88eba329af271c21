"""Where those who run the server read its numbers."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from homeserver.http.endpoint import Auth, endpoint
from homeserver.http.request import Request
from homeserver.http.responses import Raw, Response
from homeserver.observability.metrics import CONTENT_TYPE, MemoryUsage, Metrics
from homeserver.observability.process import resident_bytes
from homeserver.protocol import errors


@dataclass(frozen=True, slots=True)
class MetricsEndpoints:
    """For Prometheus, which has no account: the address decides."""

    metrics: Metrics
    allowed_networks: Sequence[ipaddress.IPv4Network | ipaddress.IPv6Network]

    @endpoint("GET", "/metrics", auth=Auth.NONE, limit="none")
    async def read(self, request: Request[None]) -> Response:
        """All numbers since the start."""
        if not self._is_allowed(request.remote_address):
            raise errors.Forbidden("Metrics are not for your address (metrics.allowed_networks)")
        return Raw(self.metrics.exposition(), CONTENT_TYPE)

    def _is_allowed(self, text: str) -> bool:
        try:
            address = ipaddress.ip_address(text)
        except ValueError:
            return False
        if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
            address = address.ipv4_mapped
        return any(address in network for network in self.allowed_networks)


@dataclass(frozen=True, slots=True)
class MemoryEndpoints:
    """For administrators: which service holds how much."""

    memory: Mapping[str, MemoryUsage]

    @endpoint("GET", "/_voicechat/admin/v1/memory", auth=Auth.ADMIN)
    async def report(self, request: Request[None]) -> Response:
        """Numbers of entries, or of bytes where the name says so, by service."""
        services = {name: dict(usage()) for name, usage in self.memory.items()}
        return {"process": {"resident_bytes": resident_bytes()}, "services": services}

"""Push gateways: users choose their addresses, so only what the settings allow is contacted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from homeserver.federation.connections import Connections
from homeserver.services.push.gateways import GatewayAnswer

TIMEOUT_S: Final = 30.0
MAX_ANSWER_BYTES: Final = 64 * 1024


@dataclass(frozen=True, slots=True)
class GuardedGateways:
    """Implements `Gateways`."""

    connections: Connections

    async def notify(self, url: str, body: bytes) -> GatewayAnswer:
        """Raises OSError or TimeoutError where there is no answer, or one that is too large."""
        page = await self.connections.post(url, body, "application/json", MAX_ANSWER_BYTES, TIMEOUT_S)
        return GatewayAnswer(page.status, page.body)

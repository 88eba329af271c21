"""What pushers ask of push gateways. Implemented in `homeserver/federation/push_gateways.py`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import orjson


@dataclass(frozen=True, slots=True)
class GatewayAnswer:
    """What a push gateway said."""

    status: int
    body: bytes

    @property
    def is_success(self) -> bool:
        return 200 <= self.status < 300

    @property
    def rejected(self) -> frozenset[str]:
        """Pushkeys that "are not valid"; none where the answer makes no sense."""
        try:
            body = orjson.loads(self.body)
        except orjson.JSONDecodeError:
            return frozenset()
        rejected = body.get("rejected") if isinstance(body, dict) else None
        return (
            frozenset(each for each in rejected if isinstance(each, str)) if isinstance(rejected, list) else frozenset()
        )


class Gateways(Protocol):
    """POST /_matrix/push/v1/notify of any gateway."""

    async def notify(self, url: str, body: bytes) -> GatewayAnswer:
        """Raises OSError or TimeoutError where there is no answer, or one that is too large."""
        ...

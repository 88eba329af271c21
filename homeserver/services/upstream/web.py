"""How a provider is asked over HTTP; federation/provider_web.py does it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import orjson

from homeserver.protocol.errors import BadGateway


@dataclass(frozen=True, slots=True)
class WebAnswer:
    """Whatever its status. Not larger than what the one who asks allows."""

    status: int
    content_type: str
    body: bytes

    def json_object(self) -> dict[str, Any]:
        """Raises BadGateway."""
        try:
            found = orjson.loads(self.body)
        except orjson.JSONDecodeError:
            found = None
        if not isinstance(found, dict):
            raise BadGateway("The provider's answer cannot be understood")
        return found


class ProviderWeb(Protocol):
    """Redirects are not followed."""

    async def ask(
        self, method: str, url: str, *, headers: Mapping[str, str] | None = None, form: Mapping[str, str] | None = None
    ) -> WebAnswer:
        """Raises Unavailable where the provider is down, too slow, or says too much."""
        ...

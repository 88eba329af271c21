"""What every kind of provider does for us."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from homeserver.services.upstream.claims import Person
from homeserver.services.upstream.provider import Provider
from homeserver.services.upstream.secrets import FlowSecrets


@dataclass(frozen=True, slots=True)
class Proved:
    """Who somebody is. `sid`: the provider's session, where it names one."""

    person: Person
    sid: str | None = None


class ProviderClient(Protocol):
    """Implemented by oidc.py and cas.py."""

    @property
    def provider(self) -> Provider: ...

    async def address(self, secrets: FlowSecrets) -> str:
        """Where the browser goes. Raises Unavailable, BadGateway."""
        ...

    async def proved(self, secrets: FlowSecrets, answer: Mapping[str, str]) -> Proved:
        """What the browser brings back is checked with the provider. Raises Forbidden, Unavailable, BadGateway."""
        ...

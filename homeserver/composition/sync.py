"""GET /sync and filters: everything the other groups have, put together."""

from __future__ import annotations

from dataclasses import dataclass, field

from homeserver.composition.foundation import Foundation
from homeserver.http.endpoint import Endpoint


@dataclass(frozen=True, slots=True)
class SyncServices:
    """The engine."""

    endpoints: list[Endpoint] = field(default_factory=list)


def build_sync(base: Foundation) -> SyncServices:
    """Nothing yet."""
    return SyncServices()

"""Rooms, read: events, timelines, members, state, with who may see what."""

from __future__ import annotations

from dataclasses import dataclass, field

from homeserver.composition.foundation import Foundation
from homeserver.http.endpoint import Endpoint


@dataclass(frozen=True, slots=True)
class ReadingServices:
    """Verbs that read rooms."""

    endpoints: list[Endpoint] = field(default_factory=list)


def build_reading(base: Foundation) -> ReadingServices:
    """Nothing yet."""
    return ReadingServices()

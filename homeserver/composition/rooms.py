"""Rooms, written: create, send, state, redact, memberships, aliases, directory."""

from __future__ import annotations

from dataclasses import dataclass, field

from homeserver.composition.foundation import Foundation
from homeserver.http.endpoint import Endpoint


@dataclass(frozen=True, slots=True)
class RoomServices:
    """Verbs that append to rooms."""

    endpoints: list[Endpoint] = field(default_factory=list)


def build_rooms(base: Foundation) -> RoomServices:
    """Nothing yet."""
    return RoomServices()

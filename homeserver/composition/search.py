"""How people find what was said, and each other."""

from __future__ import annotations

from dataclasses import dataclass, field

from homeserver.composition.foundation import Foundation
from homeserver.http.client.mutual_rooms import MutualRoomsEndpoints
from homeserver.http.endpoint import Endpoint, endpoints_of
from homeserver.services.mutual_rooms import MutualRooms


@dataclass(frozen=True, slots=True)
class SearchServices:
    """Reached by its endpoints only."""

    endpoints: list[Endpoint] = field(default_factory=list)


def build_search(base: Foundation) -> SearchServices:
    """Rooms in common."""
    return SearchServices(list(endpoints_of(MutualRoomsEndpoints(MutualRooms(base.awake)))))

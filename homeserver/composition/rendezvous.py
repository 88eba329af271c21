"""Where devices meet before one of them is signed in."""

from __future__ import annotations

from dataclasses import dataclass, field

from homeserver.composition.foundation import Foundation
from homeserver.http.client.rendezvous import RendezvousEndpoints
from homeserver.http.client.rendezvous_by_etag import RendezvousByEtagEndpoints
from homeserver.http.endpoint import Endpoint, endpoints_of
from homeserver.services.rendezvous.meetings import LIFETIME_MS, Meetings


@dataclass(frozen=True, slots=True)
class RendezvousServices:
    """Nobody else needs anything of it."""

    endpoints: list[Endpoint] = field(default_factory=list)


def build_rendezvous(base: Foundation, public_baseurl: str) -> RendezvousServices:
    """In memory alone."""
    meetings = Meetings(base.clock)

    async def tidy() -> None:
        meetings.tidy()

    base.life.every(LIFETIME_MS, tidy, "end-meetings-of-devices")
    base.life.reports_memory("rendezvous", meetings.memory_usage)
    endpoints = endpoints_of(RendezvousEndpoints(meetings), RendezvousByEtagEndpoints(meetings, public_baseurl))
    return RendezvousServices(list(endpoints))

"""Spaces: what is in them, for our users and for other servers."""

from __future__ import annotations

from dataclasses import dataclass, field

from homeserver.composition.federation import FederationServices
from homeserver.composition.foundation import Foundation
from homeserver.federation.room_acl import RoomAcl
from homeserver.federation.spaces.asking import AskForSpaces
from homeserver.http.client.room_summary import RoomSummaryEndpoints
from homeserver.http.client.spaces import SpaceEndpoints
from homeserver.http.endpoint import Endpoint, endpoints_of
from homeserver.http.federation.spaces import FederationSpaceEndpoints
from homeserver.services.directory.resolve import ResolveRoom
from homeserver.services.rate_limits import AnyRateLimiter
from homeserver.services.spaces.for_servers import HierarchyForServers
from homeserver.services.spaces.hierarchy import ReadHierarchy
from homeserver.services.spaces.local_rooms import LocalRooms
from homeserver.services.spaces.remote import NoOtherServersSpaces, OtherServersSpaces
from homeserver.services.spaces.summary import SummariseRoom
from homeserver.storage.space_trees import SpaceTrees
from homeserver.storage.stripped_states import StrippedStates


@dataclass(frozen=True, slots=True)
class SpaceServices:
    """Reached by its endpoints only."""

    endpoints: list[Endpoint] = field(default_factory=list)


def build_spaces(
    base: Foundation, federation: FederationServices, acl: RoomAcl, resolve: ResolveRoom, limiter: AnyRateLimiter
) -> SpaceServices:
    """`acl` keeps servers from what is said of rooms that keep them out."""
    local, elsewhere = LocalRooms(base.database, SpaceTrees(), base.server_name), _elsewhere(base, federation)
    read = ReadHierarchy(local, elsewhere, base.awake, base.clock)
    summarise = SummariseRoom(
        base.database, local, elsewhere, resolve, base.awake, StrippedStates(), base.server_name
    )  # fmt: skip
    endpoints = list(endpoints_of(SpaceEndpoints(read), RoomSummaryEndpoints(summarise, limiter)))
    if federation.client is not None:
        endpoints += endpoints_of(FederationSpaceEndpoints(HierarchyForServers(local, acl.denying)))
    return SpaceServices(endpoints)


def _elsewhere(base: Foundation, federation: FederationServices) -> OtherServersSpaces:
    if federation.client is None:
        return NoOtherServersSpaces()
    asking = AskForSpaces(federation.client, base.clock)
    base.life.on_stop(asking.stop)
    base.life.reports_memory("remote_spaces", asking.memory_usage)
    return asking

"""The history of rooms, for other servers."""

from __future__ import annotations

from dataclasses import dataclass, field

from homeserver.composition.federation import FederationServices
from homeserver.composition.foundation import Foundation
from homeserver.federation.serving.admission import Acl, Admission
from homeserver.federation.serving.event_at_time import ServeEventAtTime
from homeserver.federation.serving.past import ServePast
from homeserver.federation.serving.past_reader import PastReader
from homeserver.federation.serving.pdus import StoredPdus
from homeserver.federation.serving.sight import ServerSight
from homeserver.federation.serving.states import Chains, ServeStates, StatesBefore
from homeserver.http.endpoint import Endpoint, endpoints_of
from homeserver.http.federation.history import HistoryEndpoints
from homeserver.storage.event_graph import EventGraph
from homeserver.storage.room_history import RoomHistory
from homeserver.storage.server_history import ServerHistoryRows
from homeserver.storage.users import Users


@dataclass(frozen=True, slots=True)
class HistoryServices:
    """Nothing where federation is switched off."""

    endpoints: list[Endpoint] = field(default_factory=list)


def build_history(
    base: Foundation, federation: FederationServices, acl: Acl, states: StatesBefore, chains: Chains
) -> HistoryServices:
    """`acl` keeps servers out that a room keeps out; `states` and `chains` say what was before an event."""
    if federation.client is None:
        return HistoryServices()
    database, graph = base.database, EventGraph()
    admission = Admission(base.cache, acl)
    sight = ServerSight(database, ServerHistoryRows(), Users(), base.server_name)
    pdus = StoredPdus(database, base.events)
    endpoints = endpoints_of(
        HistoryEndpoints(
            base.server_name,
            base.clock.now_ms,
            ServePast(database, admission, graph, PastReader(database, graph), sight, pdus),
            ServeStates(database, admission, graph, states, chains, pdus),
            ServeEventAtTime(database, admission, RoomHistory()),
        )
    )
    return HistoryServices(list(endpoints))

"""The history of rooms: for other servers, and from them where our timelines have gaps."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial

from homeserver.composition.federation import FederationServices
from homeserver.composition.foreign_events import ForeignServices
from homeserver.composition.foundation import Foundation
from homeserver.composition.intake import IntakeServices
from homeserver.federation.backfill import Backfill
from homeserver.federation.history_at_time import HistoryAtTime
from homeserver.federation.room_servers import RoomServers
from homeserver.federation.serving.admission import Admission
from homeserver.federation.serving.event_at_time import ServeEventAtTime
from homeserver.federation.serving.past import ServePast
from homeserver.federation.serving.past_reader import PastReader
from homeserver.federation.serving.pdus import StoredPdus
from homeserver.federation.serving.sight import ServerSight
from homeserver.federation.serving.states import ServeStates
from homeserver.http.endpoint import Endpoint, endpoints_of
from homeserver.http.federation.history import HistoryEndpoints
from homeserver.services.timeline.event_at_time import HistoryElsewhere, NoHistoryElsewhere
from homeserver.services.timeline.gaps import FillHistory, NoHistory
from homeserver.storage.event_graph import EventGraph
from homeserver.storage.room_history import RoomHistory
from homeserver.storage.server_history import ServerHistoryRows
from homeserver.storage.timeline_gaps import depths_at
from homeserver.storage.users import Users


@dataclass(frozen=True, slots=True)
class HistoryServices:
    """Where federation is switched off, all there is is here."""

    fill: FillHistory = field(default_factory=NoHistory)
    at_time: HistoryElsewhere = field(default_factory=NoHistoryElsewhere)
    endpoints: list[Endpoint] = field(default_factory=list)


def build_history(
    base: Foundation, federation: FederationServices, intake: IntakeServices, foreign: ForeignServices
) -> HistoryServices:
    """After what takes events from other servers, and before what reads rooms."""
    if federation.client is None or intake.parts is None:
        return HistoryServices()
    client, parts = federation.client, intake.parts
    servers = RoomServers(base.server_name, base.clock.now_ms, client.pauses.retry_at_ms)
    depths = partial(depths_at, base.database)
    backfill = Backfill(
        parts.remote, servers, parts.supplies, foreign.standings.in_room, foreign.fill, base.cache, base.clock, depths
    )
    base.life.on_stop(backfill.stop)
    base.life.reports_memory("backfill", backfill.memory_usage)
    at_time = HistoryAtTime(client, servers, backfill, foreign.standings)
    return HistoryServices(backfill, at_time, _served(base, intake, foreign))


def _served(base: Foundation, intake: IntakeServices, foreign: ForeignServices) -> list[Endpoint]:
    database, graph = base.database, EventGraph()
    admission = Admission(base.cache, intake.acl)
    sight = ServerSight(database, ServerHistoryRows(), Users(), base.server_name)
    pdus = StoredPdus(database, base.events)
    endpoints = endpoints_of(
        HistoryEndpoints(
            base.server_name,
            base.clock.now_ms,
            ServePast(database, admission, graph, PastReader(database, graph), sight, pdus),
            ServeStates(database, admission, graph, foreign.states, foreign.auth_chains, pdus),
            ServeEventAtTime(database, admission, RoomHistory()),
        )
    )
    return list(endpoints)

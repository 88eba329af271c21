"""Events of other servers on their way into rooms (decision 0017)."""

from __future__ import annotations

from dataclasses import dataclass

from homeserver.composition.foundation import Foundation
from homeserver.composition.kernel import Kernel
from homeserver.services.foreign_events.adopt_room import AdoptRoom
from homeserver.services.foreign_events.auth_graphs import AuthGraphs
from homeserver.services.foreign_events.fill_gap import FillGap
from homeserver.services.foreign_events.loader import Loader
from homeserver.services.foreign_events.pdu_store import AuthChains, PduStore
from homeserver.services.foreign_events.receive_events import ReceiveEvents
from homeserver.services.foreign_events.room_locks import RoomLocks
from homeserver.services.foreign_events.room_states import RoomStates
from homeserver.services.foreign_events.standings import Standings
from homeserver.services.foreign_events.store_outliers import StoreOutliers
from homeserver.storage.event_states import EventStates
from homeserver.storage.outliers import Outliers
from homeserver.storage.pdus import Pdus


@dataclass(frozen=True, slots=True)
class ForeignServices:
    """What the federation layer asks of rooms."""

    standings: Standings
    store_outliers: StoreOutliers
    receive: ReceiveEvents
    adopt: AdoptRoom
    fill: FillGap
    states: RoomStates
    auth_chains: AuthChains
    pdus: PduStore


def build_foreign_events(base: Foundation, kernel: Kernel) -> ForeignServices:
    """Right after the kernel: everybody else here writes through it."""
    database, writer, locks = base.database, kernel.writer, RoomLocks()
    pdus, places = Pdus(), EventStates()
    store = PduStore(database, pdus)
    states, graphs = RoomStates(database, places), AuthGraphs(database, pdus)
    loader = Loader(database, base.events, pdus, places, states, graphs)
    base.life.reports_memory("room_states", states.memory_usage)
    base.life.reports_memory("auth_graphs", graphs.memory_usage)
    outliers = Outliers()
    store_outliers = StoreOutliers(database, pdus, store, outliers, locks, writer.position, base.clock)
    adopt = AdoptRoom(
        database, base.cache, writer, loader, graphs, places, outliers, store_outliers, locks, base.server_name
    )
    return ForeignServices(
        Standings(database, pdus),
        store_outliers,
        ReceiveEvents(base.cache, writer, loader, graphs, places, locks),
        adopt,
        FillGap(base.cache, writer, loader, graphs, states, places, locks),
        states,
        AuthChains(database, pdus),
        store,
    )

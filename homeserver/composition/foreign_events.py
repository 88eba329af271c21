"""Events of other servers on their way into rooms (decision 0017)."""

from __future__ import annotations

from dataclasses import dataclass

from homeserver.composition.foundation import Foundation
from homeserver.composition.kernel import Kernel
from homeserver.services.foreign_events.pdu_store import AuthChains, PduStore
from homeserver.services.foreign_events.room_locks import RoomLocks
from homeserver.services.foreign_events.standings import Standings
from homeserver.services.foreign_events.store_outliers import StoreOutliers
from homeserver.storage.outliers import Outliers
from homeserver.storage.pdus import Pdus


@dataclass(frozen=True, slots=True)
class ForeignServices:
    """What the federation layer asks of rooms."""

    standings: Standings
    store_outliers: StoreOutliers
    auth_chains: AuthChains
    pdus: PduStore


def build_foreign_events(base: Foundation, kernel: Kernel) -> ForeignServices:
    """Right after the kernel: everybody else here writes through it."""
    rows, locks = Pdus(), RoomLocks()
    store = PduStore(base.database, rows)
    store_outliers = StoreOutliers(
        base.database, rows, store, Outliers(), locks, kernel.writer.position, base.clock
    )  # fmt: skip
    return ForeignServices(Standings(base.database, rows), store_outliers, AuthChains(base.database, rows), store)

"""The way by which events enter rooms."""

from __future__ import annotations

from dataclasses import dataclass

from homeserver.composition.foundation import Foundation
from homeserver.protocol.signing import SigningKey
from homeserver.services.rooms.append import NotificationRules
from homeserver.services.rooms.appender import Appender
from homeserver.services.rooms.event_rows import EventRows
from homeserver.services.rooms.event_writer import EventWriter
from homeserver.services.rooms.outside import OutsideMemberships
from homeserver.services.rooms.policy_servers import PolicyServers
from homeserver.services.rooms.transactions import KEPT_MS, SentTransactions
from homeserver.storage.event_transactions import EventTransactions
from homeserver.storage.outliers import Outliers
from homeserver.storage.positions import StreamPosition
from homeserver.storage.stripped_states import StrippedStates

HOUR_MS = 60 * 60 * 1000


@dataclass(frozen=True, slots=True)
class Kernel:
    """`writer` owns the events stream; `appender` is the one way by which our own events are built. `outside`: memberships
    of rooms that this server is not in.
    """

    writer: EventWriter
    appender: Appender
    transactions: SentTransactions
    outside: OutsideMemberships


def build_kernel(
    base: Foundation,
    rules: NotificationRules,
    signing_key: SigningKey,
    *,
    keeps_redacted: bool = True,
    policy_servers: PolicyServers | None = None,
) -> Kernel:
    """`rules` say whom an event notifies; they are asked before the event is written. `keeps_redacted`: whether what redacted
    events said is kept at all. `policy_servers`: who asks them, where other servers are talked to.
    """
    stream = StreamPosition("events")
    writer = EventWriter(
        base.database,
        base.events,
        base.rooms,
        stream,
        base.cache,
        base.announcer,
        EventRows(rules, base.clock, keeps_redacted),
    )
    appender = Appender(base.cache, writer, base.clock, base.server_name, signing_key, policy_servers)
    stored = EventTransactions()
    transactions = SentTransactions(base.database, stored, base.clock)

    async def prune() -> None:
        await stored.prune(base.database, base.clock.now_ms() - KEPT_MS)

    base.life.on_start(writer.start)
    base.life.on_stop(writer.stop)
    base.life.every(HOUR_MS, prune, "prune-event-transactions")
    base.life.reports_memory("event_transactions", transactions.memory_usage)
    base.life.reports_memory("recent_events", lambda: {"events": len(writer.recent)})
    outside = OutsideMemberships(
        base.database, StrippedStates(), Outliers(), stream, writer.recent, base.announcer, base.clock
    )
    return Kernel(writer, appender, transactions, outside)

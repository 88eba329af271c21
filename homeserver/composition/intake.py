"""What other servers send, and how events of theirs are asked for."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from typing import Final

from homeserver.composition.federation import FederationServices
from homeserver.composition.foundation import Foundation
from homeserver.federation.incoming.edus import EduReceivers
from homeserver.federation.incoming.gaps import Gaps
from homeserver.federation.incoming.incoming import Incoming, ReceiveEvents
from homeserver.federation.incoming.patience import Patience
from homeserver.federation.incoming.room_intake import RoomIntake
from homeserver.federation.incoming.staging import Staging
from homeserver.federation.incoming.supplies import StoreOutliers, Supplies
from homeserver.federation.incoming.transactions import NoTransactions, Transactions
from homeserver.federation.incoming.withdrawn import EndsOutside
from homeserver.federation.pdu_checks import PduChecks
from homeserver.federation.policy_servers import AskPolicyServer
from homeserver.federation.remote_events import RemoteEvents
from homeserver.federation.room_acl import RoomAcl
from homeserver.http.endpoint import Endpoint, endpoints_of
from homeserver.http.federation.transactions import TransactionEndpoints
from homeserver.services.foreign_events.policy_checked import ReceivePolicyChecked
from homeserver.services.foreign_events.standings import StandingsOf
from homeserver.services.rooms.outside import OutsideMemberships
from homeserver.storage.pdus import Pdus
from homeserver.storage.received_transactions import ReceivedTransactions
from homeserver.storage.server_acls import ServerAclRows
from homeserver.storage.staged_pdus import StagedPdus
from homeserver.storage.stripped_states import StrippedStates
from homeserver.storage.timeline_gaps import arrival_depth

HOUR_MS: Final = 60 * 60_000
STAGED_INTERVAL_MS: Final = 60_000


@dataclass(frozen=True, slots=True)
class IntakeParts:
    """What everybody uses who takes events from other servers."""

    checks: PduChecks
    remote: RemoteEvents
    supplies: Supplies
    incoming: Incoming
    rooms: RoomIntake
    staging: Staging


@dataclass(frozen=True, slots=True)
class IntakeServices:
    """`parts` None: federation is switched off. `edus`: who deals with a type registers there."""

    acl: RoomAcl
    edus: EduReceivers
    parts: IntakeParts | None = None
    endpoints: list[Endpoint] = field(default_factory=list)


def build_intake(
    base: Foundation,
    federation: FederationServices,
    standings: StandingsOf,
    store_outliers: StoreOutliers,
    receive: ReceiveEvents,
    outside: OutsideMemberships,
) -> IntakeServices:
    """After what writes events of other servers."""
    acl = RoomAcl(base.cache, base.database, ServerAclRows())
    edus = EduReceivers(acl)
    if federation.client is None or federation.keyring is None:
        return IntakeServices(acl, edus, None, list(endpoints_of(TransactionEndpoints(NoTransactions()))))
    checks = PduChecks(federation.keyring)
    remote = RemoteEvents(federation.client, checks)
    supplies = Supplies(remote, store_outliers, base.database, Pdus())
    gaps = Gaps(remote, standings, partial(arrival_depth, base.database))
    checked = ReceivePolicyChecked(base.cache, receive, AskPolicyServer(federation.client))
    incoming = Incoming(base.cache, standings, gaps, supplies, checked, Patience(base.clock))
    staging = _staging(base, incoming)
    ends = EndsOutside(
        base.database, checks, base.awake, base.rooms, base.events, StrippedStates(), outside, base.server_name
    )
    rooms = RoomIntake(base.cache, checks, acl, incoming, staging, ends)
    base.life.on_stop(rooms.stop)
    base.life.reports_memory("incoming_events", rooms.memory_usage)
    transactions = Transactions(base.database, ReceivedTransactions(), rooms, edus, base.clock)
    base.life.on_stop(transactions.stop)
    base.life.every(HOUR_MS, transactions.prune, "forget-received-transactions")
    base.life.reports_memory("received_transactions", transactions.memory_usage)
    parts = IntakeParts(checks, remote, supplies, incoming, rooms, staging)
    return IntakeServices(acl, edus, parts, list(endpoints_of(TransactionEndpoints(transactions))))


def _staging(base: Foundation, incoming: Incoming) -> Staging:
    staging = Staging(base.database, StagedPdus(), base.cache, incoming, base.clock)
    base.life.on_start(staging.recover)
    base.life.every(STAGED_INTERVAL_MS, staging.work_off, "work-off-staged-events")
    base.life.on_stop(staging.stop)
    base.life.reports_memory("staged_events", staging.memory_usage)
    return staging

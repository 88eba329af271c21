"""The ground that every service stands on: database, streams, rooms in memory, who is awake."""

from __future__ import annotations

from dataclasses import dataclass

from homeserver.composition.life import Lifecycle
from homeserver.services.account_data.stream import AccountDataStream
from homeserver.services.announcer import Announcer
from homeserver.services.audit.audit_log import AuditLog
from homeserver.services.awake import AwakeUsers
from homeserver.services.clock import Clock
from homeserver.services.rooms.room_cache import RoomCache
from homeserver.storage.audit import AuditRows
from homeserver.storage.database import Database
from homeserver.storage.events import Events
from homeserver.storage.memberships import Memberships
from homeserver.storage.rooms import Rooms

DAY_MS = 24 * 60 * 60_000


@dataclass(frozen=True, slots=True)
class Foundation:
    """Shared by all groups."""

    server_name: str
    clock: Clock
    life: Lifecycle
    database: Database
    events: Events
    rooms: Rooms
    memberships: Memberships
    cache: RoomCache
    awake: AwakeUsers
    announcer: Announcer
    audit: AuditLog
    account_data: AccountDataStream


def build_foundation(
    server_name: str, database: Database, clock: Clock, audit_keep_ms: int = 365 * DAY_MS
) -> Foundation:
    """Nothing here touches the database before it is asked something."""
    life = Lifecycle(clock)
    events, rooms, memberships = Events(), Rooms(), Memberships()
    cache = RoomCache(database, rooms, events, server_name)
    awake = AwakeUsers(database, memberships)
    announcer = Announcer(awake)
    audit = AuditLog(database, AuditRows(), clock, audit_keep_ms)
    # Before every other listener: whoever is told of an event finds the memberships up to date.
    announcer.on_resolved(awake.apply_resolved)
    announcer.on_events(awake.apply_events)
    life.every(DAY_MS // 24, audit.tidy, "forget-old-audit-entries")
    life.on_stop(database.close)
    life.reports_memory("rooms", cache.memory_usage)
    life.reports_memory("awake", awake.memory_usage)
    life.reports_memory("announcer", lambda: {"waiting": announcer.waiting})
    account_data = AccountDataStream(database, announcer)
    life.on_start(account_data.load)
    return Foundation(
        server_name, clock, life, database, events, rooms, memberships, cache, awake, announcer, audit, account_data
    )

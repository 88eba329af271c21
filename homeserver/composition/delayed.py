"""Delayed events, and with them the endpoints that send: both at once and later."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

from config.settings import Settings
from homeserver.composition.accounts import AccountServices
from homeserver.composition.foundation import Foundation
from homeserver.composition.kernel import Kernel
from homeserver.composition.rooms import RoomServices
from homeserver.http.client.delayed_events import DelayedEventEndpoints
from homeserver.http.client.room_events import RoomEventEndpoints
from homeserver.http.endpoint import Endpoint, endpoints_of
from homeserver.protocol.errors import Conflict, NotFound
from homeserver.services.calls.delegation import DelayedLeave
from homeserver.services.delayed_events.delayed_events import DelayedEvents
from homeserver.services.delayed_events.deliver import Deliver
from homeserver.services.delayed_events.finalise import Finalise
from homeserver.services.delayed_events.listing import ReadDelayedEvents
from homeserver.services.delayed_events.schedule import ScheduleEvent
from homeserver.services.delayed_events.timer import DelayTimer
from homeserver.services.delayed_events.timetable import Timetable
from homeserver.services.delayed_events.upkeep import DelayedUpkeep
from homeserver.services.rate_limits import AnyRateLimiter
from homeserver.services.relations.redact_related import RedactWithRelated
from homeserver.storage.delayed_events import DelayedEventRows
from homeserver.storage.relations import Relations

FLUSH_MS = 5_000
TIDY_MS = 60 * 60 * 1000


@dataclass(frozen=True, slots=True)
class LeavesInOurCare:
    """Delayed events as calls ask for them (`services.calls.delegation.DelayedLeaves`)."""

    delayed: DelayedEvents

    async def find(self, delay_id: str) -> DelayedLeave | None:
        entry = await self.delayed.find(delay_id)
        return None if entry is None else DelayedLeave(entry.user_id, entry.room_id, entry.delay_ms)

    async def restart(self, delay_ids: Sequence[str]) -> Collection[str]:
        return await self.delayed.restart_all(delay_ids)

    async def send_now(self, delay_id: str) -> None:
        try:
            await self.delayed.send_now(delay_id)
        except Conflict:
            raise NotFound("The delayed event has been cancelled") from None


@dataclass(frozen=True, slots=True)
class DelayedServices:
    """What calls and rosters need of delayed events."""

    delayed: DelayedEvents
    leaves: LeavesInOurCare
    endpoints: list[Endpoint] = field(default_factory=list)


def build_delayed(
    base: Foundation,
    settings: Settings,
    accounts: AccountServices,
    kernel: Kernel,
    rooms: RoomServices,
    limiter: AnyRateLimiter,
) -> DelayedServices:
    """Sends through the verbs of `rooms`, and only after the kernel has started."""
    database, clock, rows, timetable = base.database, base.clock, DelayedEventRows(), Timetable()
    deliver = Deliver(rooms.send, rooms.set_state, kernel.transactions, limiter, accounts.standings)
    finalise = Finalise(database, rows, timetable, deliver, clock)
    delayed = DelayedEvents(database, rows, timetable, finalise, clock)
    schedule = ScheduleEvent(database, rows, timetable, clock, settings.delayed_events.max_delay)
    upkeep = DelayedUpkeep(database, rows, timetable, clock)
    _live(base, accounts, upkeep, DelayTimer(timetable, finalise, clock))
    redact = RedactWithRelated(database, Relations(), base.cache, rooms.redact)
    endpoints = endpoints_of(
        RoomEventEndpoints(rooms.send, rooms.set_state, redact, schedule),
        DelayedEventEndpoints(schedule, delayed, ReadDelayedEvents(database, rows, upkeep)),
    )
    return DelayedServices(delayed, LeavesInOurCare(delayed), list(endpoints))


def _live(base: Foundation, accounts: AccountServices, upkeep: DelayedUpkeep, timer: DelayTimer) -> None:
    async def forget_user(user_id: str, erase: bool) -> None:
        await upkeep.forget_user(user_id)

    accounts.accounts.on_deactivated.append(forget_user)
    accounts.devices.hooks.deleted.append(upkeep.forget_devices)
    base.life.on_start(upkeep.load)
    base.life.on_start(timer.start)
    base.life.on_stop(upkeep.flush)
    base.life.on_stop(timer.stop)
    base.life.every(FLUSH_MS, upkeep.flush, "store-restarts-of-delayed-events")
    base.life.every(TIDY_MS, upkeep.tidy, "forget-finalised-delayed-events")
    base.life.reports_memory("delayed_events", upkeep.memory_usage)

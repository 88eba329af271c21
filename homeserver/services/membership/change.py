"""What all membership verbs have in common: one member event of one user, or none where nothing would change."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from homeserver.protocol.builder import EventDraft
from homeserver.protocol.events import Event
from homeserver.services.rooms.appender import Appender, Plan
from homeserver.services.rooms.live_room import LiveRoom
from homeserver.services.rooms.timeline_event import TimelineEvent

Change = Callable[[LiveRoom, Event | None], EventDraft | None]
"""From the room and the target's standing member event to the new one; None: leave it as it is."""


@dataclass(frozen=True, slots=True)
class ChangeMembership:
    """One verb, beneath the others."""

    appender: Appender

    async def __call__(self, room_id: str, target: str, change: Change) -> str:
        """Commit the change; returns the id of the new member event, or of the standing one where nothing changes.

        Raises as `made`.
        """
        event, standing_id = await self._commit(room_id, target, change)
        return standing_id if event is None else event.event_id

    async def made(self, room_id: str, target: str, change: Change) -> TimelineEvent | None:
        """Commit the change; returns the new member event, None where nothing changes.

        Raises what ``change`` raises, NotFound for unknown rooms, Forbidden where an auth rule refuses.
        """
        event, _ = await self._commit(room_id, target, change)
        return event

    async def _commit(self, room_id: str, target: str, change: Change) -> tuple[TimelineEvent | None, str]:
        standing_id = ""

        def plan(room: LiveRoom) -> Plan:
            nonlocal standing_id
            standing = room.fetch_auth_event("m.room.member", target)
            draft = change(room, standing)
            if standing is not None and (draft is None or draft.repeats(standing)):
                standing_id = standing.event_id
                return Plan([])
            return Plan([] if draft is None else [draft])

        events = await self.appender.commit(room_id, plan)
        return (events[-1] if events else None), standing_id

"""Somebody on another server no longer lets guests into a room: ours go ("Guest access", server behaviour)."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from homeserver.protocol.errors import MatrixError
from homeserver.protocol.identifiers import server_name_of
from homeserver.services.announcer import Resolved
from homeserver.services.membership.guests import EvictGuests
from homeserver.services.rooms.timeline_event import TimelineEvent

GUEST_ACCESS: Final = ("m.room.guest_access", "")

log = logging.getLogger(__name__)


@dataclass(slots=True)
class FollowGuestAccess:
    """`apply_events` and `apply_resolved` are listeners; one task at a time does what they ask for."""

    evict: EvictGuests
    server_name: str
    _rooms: dict[str, None] = field(default_factory=dict)
    _task: asyncio.Task[None] | None = None

    def apply_events(self, events: Sequence[TimelineEvent]) -> None:
        """Of our own users, whoever sets the state waits until the guests are gone."""
        for event in events:
            is_ours = server_name_of(event.sender) == self.server_name
            if (event.type, event.state_key) == GUEST_ACCESS and event.takes_force and not is_ours:
                self._look_at(event.room_id)

    def apply_resolved(self, resolved: Resolved) -> None:
        """The same where a fork has decided it."""
        if GUEST_ACCESS in resolved.keys:
            self._look_at(resolved.room_id)

    def _look_at(self, room_id: str) -> None:
        self._rooms[room_id] = None
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._run(), name="evict-guests")

    async def _run(self) -> None:
        while self._rooms:
            room_id = next(iter(self._rooms))
            del self._rooms[room_id]
            try:
                await self.evict(room_id)
            except MatrixError as error:
                log.info("guests of %s stay: %s", room_id, error)
            except Exception:
                log.exception("guests of %s stay", room_id)

    async def stop(self) -> None:
        """No more work."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def memory_usage(self) -> dict[str, int]:
        """Rooms that wait."""
        return {"rooms": len(self._rooms)}

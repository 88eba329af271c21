"""What may be done with a scheduled event (MSC4140, "Managing scheduled delayed events"): send, restart, cancel.

Whoever knows the delay id may: a client, or a media server to which it has handed its leave.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from homeserver.protocol.errors import Conflict, NotFound
from homeserver.services.clock import Clock
from homeserver.services.delayed_events.finalise import Finalise
from homeserver.services.delayed_events.timetable import Scheduled, Timetable
from homeserver.storage.delayed_events import DelayedEventRow, DelayedEventRows

if TYPE_CHECKING:
    from homeserver.storage.database import Queries

Action = Literal["send", "restart", "cancel"]

MAX_DELAY_ID_CHARACTERS: Final = 64
NO_SUCH = "There is no such delayed event"


@dataclass(frozen=True, slots=True)
class DelayedEvents:
    """Three verbs, and two questions for those whose care leaves were given into."""

    queries: Queries
    rows: DelayedEventRows
    timetable: Timetable
    finalise: Finalise
    clock: Clock

    async def restart(self, delay_id: str) -> None:
        """It is due a whole delay from now. No statement: the table follows within seconds.

        Raises NotFound for ids that do not exist, and Conflict where it was cancelled.
        """
        entry = await self.find(delay_id)
        if entry is None:
            await self._explain(delay_id, "restart")
        else:
            self.timetable.restart(entry, self.clock.now_ms())

    async def restart_all(self, delay_ids: Sequence[str]) -> list[str]:
        """Restart many; returns those that were still scheduled."""
        waiting = []
        for delay_id in delay_ids:
            entry = self.timetable.get(delay_id)
            if entry is not None and entry.busy is None:
                self.timetable.restart(entry, self.clock.now_ms())
                waiting.append(delay_id)
        return waiting

    async def send_now(self, delay_id: str) -> None:
        """Send it; nothing happens where it was sent. Raises NotFound, Conflict (cancelled), and what sending raises:
        then it stays scheduled.
        """
        async with self._held(delay_id) as entry:
            if entry is None:
                await self._explain(delay_id, "send")
            else:
                await self.finalise.send(entry)

    async def cancel(self, delay_id: str) -> None:
        """It is never sent; nothing happens where that is so already. Raises NotFound, Conflict (sent)."""
        async with self._held(delay_id) as entry:
            if entry is None:
                await self._explain(delay_id, "cancel")
            else:
                await self.finalise.cancel(entry)

    def delayed_of(self, user_id: str, room_id: str, event_type: str, state_key: str | None) -> list[str]:
        """Delay ids of what a user has scheduled for this state (None: of messages of this type) of a room."""
        wanted = (room_id, event_type, state_key)
        return [
            entry.delay_id
            for entry in self.timetable.of_user(user_id)
            if (entry.room_id, entry.type, entry.state_key) == wanted
        ]

    async def find(self, delay_id: str) -> Scheduled | None:
        """The event, if it is still scheduled when nobody is sending or cancelling it any more. Do not change it."""
        entry = self.timetable.get(delay_id)
        if entry is None:
            row = await self._stored(delay_id)
            if row is not None:
                self.timetable.adopt(row)
            entry = self.timetable.get(delay_id)
        while entry is not None and entry.busy is not None:
            await asyncio.shield(entry.busy)
            entry = self.timetable.get(delay_id)
        return entry

    @asynccontextmanager
    async def _held(self, delay_id: str) -> AsyncIterator[Scheduled | None]:
        entry = await self.find(delay_id)
        held = [] if entry is None else [entry]
        self.timetable.hold(held)
        try:
            yield entry
        finally:
            self.timetable.release(held)

    async def _stored(self, delay_id: str) -> DelayedEventRow | None:
        if len(delay_id) > MAX_DELAY_ID_CHARACTERS:
            return None
        rows = await self.rows.by_ids(self.queries, [delay_id])
        return rows[0] if rows else None

    async def _explain(self, delay_id: str, action: Action) -> None:
        """Why nothing could be done about an event that is not scheduled; fine if that is what was wished for."""
        row = await self._stored(delay_id)
        if row is None:
            raise NotFound(NO_SUCH)
        if row.event_id is None and action != "cancel":
            raise Conflict("The delayed event has been cancelled already")
        if row.event_id is not None and action == "cancel":
            raise Conflict("The delayed event has been sent already")
        if row.event_id is not None and action == "restart":
            # The proposal names no answer. With this one clients schedule their leave anew and join again; any other
            # makes them give up the call.
            raise NotFound("The delayed event has been sent already")

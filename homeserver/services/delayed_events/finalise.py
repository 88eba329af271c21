"""The end of delayed events: sent, failed or cancelled. The table says so before memory forgets them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import orjson

from homeserver.protocol.errors import LimitExceeded, MatrixError, NotFound, Unavailable
from homeserver.services.clock import Clock
from homeserver.services.delayed_events.deliver import Deliver
from homeserver.services.delayed_events.timetable import Scheduled, Timetable
from homeserver.storage.delayed_events import DelayedEventRow, DelayedEventRows, Outcome

if TYPE_CHECKING:
    from homeserver.storage.database import Queries

RETRY_MS = 2_000

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Finalise:
    """Verbs for entries that the caller holds (`Timetable.hold`)."""

    queries: Queries
    rows: DelayedEventRows
    timetable: Timetable
    deliver: Deliver
    clock: Clock

    async def send(self, entry: Scheduled) -> None:
        """Send one at somebody's wish. Raises what sending raises; the event then stays scheduled."""
        found = await self.rows.by_ids(self.queries, [entry.delay_id])
        if not found:
            self.timetable.remove(entry)
            raise NotFound("There is no such delayed event")
        event_id = await self.deliver(found[0])
        await self._note([entry], [Outcome(entry.delay_id, entry.running_since, event_id)])

    async def cancel(self, entry: Scheduled) -> None:
        """It is never sent."""
        await self._note([entry], [Outcome(entry.delay_id, entry.running_since)])

    async def send_due(self, entries: Sequence[Scheduled]) -> None:
        """Send all that are due; who may not send has an error noted. Two statements, whatever their number, but for
        those of sending.

        Where the database is away they are tried again: what was sent is not sent twice (see `Deliver`).
        """
        rows = {row.delay_id: row for row in await self.rows.by_ids(self.queries, [each.delay_id for each in entries])}
        outcomes = await asyncio.gather(*(self._try(entry, rows) for entry in entries))
        settled = [pair for pair in zip(entries, outcomes, strict=True) if pair[1] is not None]
        await self._note([entry for entry, _ in settled], [outcome for _, outcome in settled if outcome is not None])

    async def _try(self, entry: Scheduled, rows: Mapping[str, DelayedEventRow]) -> Outcome | None:
        """None: not now."""
        row = rows.get(entry.delay_id)
        if row is None or row.finalised_ms is not None:
            # Its owner's account is gone, or it was finalised when only the answer was lost.
            self.timetable.remove(entry)
            return None
        try:
            return Outcome(entry.delay_id, entry.running_since, await self.deliver(row))
        except (Unavailable, LimitExceeded) as error:
            # Whoever sends much at that moment has not said that he wants to stay in the call.
            wait_ms = max(RETRY_MS, error.data.get("retry_after_ms", RETRY_MS))
            entry.not_before = self.clock.now_ms() + wait_ms
            return None
        except MatrixError as error:
            return Outcome(entry.delay_id, entry.running_since, error=orjson.dumps(error.body))
        except Exception:
            log.exception("could not send the delayed event %s", entry.delay_id[:8])
            failure = {"errcode": "M_UNKNOWN", "error": "Internal error"}
            return Outcome(entry.delay_id, entry.running_since, error=orjson.dumps(failure))

    async def _note(self, entries: Sequence[Scheduled], outcomes: Sequence[Outcome]) -> None:
        if not outcomes:
            return
        await self.rows.finalise(self.queries, outcomes, self.clock.now_ms())
        for entry in entries:
            self.timetable.remove(entry)

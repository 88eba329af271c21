"""A user looks at his delayed events: one (MSC4140, "Getting delayed events"), or page by page (MSC4486)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import orjson

from homeserver.protocol.errors import InvalidParam, NotFound
from homeserver.services.delayed_events.upkeep import DelayedUpkeep
from homeserver.storage.delayed_events import DelayedEventRow, DelayedEventRows, PageOfDelayed

if TYPE_CHECKING:
    from homeserver.storage.database import Queries

PAGE: Final = 50
MAX_TOKEN_CHARACTERS: Final = 128


class Listed(NamedTuple):
    """One page, and where the next begins; None where there is none."""

    events: list[dict[str, Any]]
    next_batch: str | None


@dataclass(frozen=True, slots=True)
class ReadDelayedEvents:
    """Two verbs. Both look at the table, which is brought up to date first."""

    queries: Queries
    rows: DelayedEventRows
    upkeep: DelayedUpkeep

    async def one(self, user_id: str, delay_id: str) -> dict[str, Any]:
        """Raises NotFound for other people's too."""
        await self.upkeep.flush()
        for row in await self.rows.by_ids(self.queries, [delay_id]):
            if row.user_id == user_id:
                return as_json(row)
        raise NotFound("You have no such delayed event")

    async def page(self, user_id: str, wanted: PageOfDelayed, start: str | None) -> Listed:
        """In order of the time at which they are or were due. `start`: a `next_batch`. Raises InvalidParam."""
        after = None if start is None else _parsed(start)
        await self.upkeep.flush()
        rows = await self.rows.page(self.queries, user_id, replace(wanted, after=after, limit=PAGE + 1))
        return Listed([as_json(row) for row in rows[:PAGE]], _token(rows))


def as_json(row: DelayedEventRow) -> dict[str, Any]:
    """With the names of today's text, and with those that clients of before look for."""
    event: dict[str, Any] = {
        "delay_id": row.delay_id,
        "room_id": row.room_id,
        "type": row.type,
        "delay_ms": row.delay_ms,
        "delay": row.delay_ms,
        "delayed_since_ts": row.running_since,
        "running_since": row.running_since,
        "content": orjson.Fragment(row.content),
    }
    if row.state_key is not None:
        event["state_key"] = row.state_key
    if row.finalised_ms is not None:
        outcome = _outcome(row)
        event["finalised"] = {"finalised_ts": row.finalised_ms, **outcome}
        event.update(outcome, origin_server_ts=row.finalised_ms)
    return event


def _outcome(row: DelayedEventRow) -> dict[str, Any]:
    if row.event_id is not None:
        return {"event_id": row.event_id}
    return {} if row.error is None else {"error": orjson.Fragment(row.error)}


def _token(rows: Sequence[DelayedEventRow]) -> str | None:
    if len(rows) <= PAGE:
        return None
    last = rows[PAGE - 1]
    return f"{last.due_ms}_{last.delay_id}"


def _parsed(token: str) -> tuple[int, str]:
    due, _, delay_id = token.partition("_")
    if len(token) > MAX_TOKEN_CHARACTERS or not (due.isascii() and due.isdigit() and len(due) <= 18 and delay_id):
        raise InvalidParam("'from' is no token of this list")
    return int(due), delay_id

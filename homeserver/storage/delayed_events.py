"""Table `delayed_events`: events that are to be sent later, and for a while what became of them."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from asyncpg import Record

    from homeserver.storage.database import Queries

COLUMNS = """delay_id, user_id, device_id, is_guest, room_id, type, state_key, content, sticky_ms, delay_ms, running_since,
       finalised_ms, event_id, error"""

ADD = """
INSERT INTO delayed_events (delay_id, user_id, device_id, is_guest, room_id, type, state_key, content, sticky_ms, delay_ms,
                            running_since, txn_key)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)
ON CONFLICT (user_id, device_id, txn_key) WHERE txn_key IS NOT NULL DO NOTHING
RETURNING delay_id
"""

OF_TRANSACTION = f"""
SELECT {COLUMNS} FROM delayed_events WHERE user_id = $1 AND device_id = $2 AND txn_key = $3
"""

BY_IDS = f"SELECT {COLUMNS} FROM delayed_events WHERE delay_id = ANY($1::text[])"

SCHEDULED = """
SELECT delay_id, user_id, room_id, type, state_key, delay_ms, running_since FROM delayed_events WHERE finalised_ms IS NULL
"""

RESTARTED = """
UPDATE delayed_events d SET running_since = r.running_since
FROM unnest($1::text[], $2::bigint[]) AS r(delay_id, running_since)
WHERE d.delay_id = r.delay_id AND d.finalised_ms IS NULL
"""

FINALISE = """
UPDATE delayed_events d
SET finalised_ms = $1, running_since = f.running_since, event_id = f.event_id, error = f.error
FROM unnest($2::text[], $3::bigint[], $4::text[], $5::bytea[]) AS f(delay_id, running_since, event_id, error)
WHERE d.delay_id = f.delay_id AND d.finalised_ms IS NULL
"""

_PAGE = f"""
SELECT {COLUMNS} FROM delayed_events
WHERE user_id = $1 AND running_since + delay_ms BETWEEN $2 AND $3
  AND ($4::text IS NULL OR room_id = $4) AND ($5::text IS NULL OR type = $5) AND ($6::text[] IS NULL OR delay_id = ANY($6))
  AND CASE $7::text
      WHEN 'scheduled' THEN finalised_ms IS NULL
      WHEN 'finalised' THEN finalised_ms IS NOT NULL
      WHEN 'sent' THEN event_id IS NOT NULL
      WHEN 'failed' THEN error IS NOT NULL
      WHEN 'cancelled' THEN finalised_ms IS NOT NULL AND event_id IS NULL AND error IS NULL
      ELSE true END
"""

FORWARDS = f"""{_PAGE}
  AND ($8::bigint IS NULL OR (running_since + delay_ms, delay_id) > ($8, $9::text))
ORDER BY running_since + delay_ms, delay_id LIMIT $10
"""

BACKWARDS = f"""{_PAGE}
  AND ($8::bigint IS NULL OR (running_since + delay_ms, delay_id) < ($8, $9::text))
ORDER BY running_since + delay_ms DESC, delay_id DESC LIMIT $10
"""

# "up to 7 days or 1000 events per user, whichever occurs first"
FORGET_FINALISED = """
DELETE FROM delayed_events WHERE finalised_ms < $1 OR delay_id IN (
    SELECT delay_id FROM (
        SELECT delay_id, row_number() OVER (PARTITION BY user_id ORDER BY finalised_ms DESC) AS number
        FROM delayed_events WHERE finalised_ms IS NOT NULL
    ) numbered WHERE number > $2
)
"""

FORGET_TRANSACTIONS = """
UPDATE delayed_events SET txn_key = NULL WHERE user_id = $1 AND device_id = ANY($2::text[]) AND txn_key IS NOT NULL
"""

FORGET_USER = "DELETE FROM delayed_events WHERE user_id = $1"


@dataclass(frozen=True, slots=True)
class DelayedEventRow:
    """One row. `content` and `error` are JSON; times in ms."""

    delay_id: str
    user_id: str
    device_id: str
    is_guest: bool
    room_id: str
    type: str
    state_key: str | None
    content: bytes
    sticky_ms: int | None
    delay_ms: int
    running_since: int
    finalised_ms: int | None = None
    event_id: str | None = None
    error: bytes | None = None

    @property
    def due_ms(self) -> int:
        return self.running_since + self.delay_ms


class ScheduledRow(NamedTuple):
    """What of a scheduled one is needed before it is sent."""

    delay_id: str
    user_id: str
    room_id: str
    type: str
    state_key: str | None
    delay_ms: int
    running_since: int


class Outcome(NamedTuple):
    """What became of a delayed event: sent as `event_id`, failed with `error` (JSON), or cancelled."""

    delay_id: str
    running_since: int
    event_id: str | None = None
    error: bytes | None = None


@dataclass(frozen=True, slots=True)
class PageOfDelayed:
    """Which of a user's delayed events to list, by the time at which they are or were due, in ms."""

    from_ms: int
    to_ms: int
    limit: int
    backwards: bool = False
    room_id: str | None = None
    event_type: str | None = None
    delay_ids: Sequence[str] | None = None
    status: str | None = None
    after: tuple[int, str] | None = None
    """(due, delay id) of the last one of the page before."""


class DelayedEventRows:
    """Queries over delayed events."""

    async def add(self, q: Queries, row: DelayedEventRow, txn_key: str | None) -> bool:
        """False where this transaction has scheduled one already."""
        added = await q.fetchval(
            ADD, row.delay_id, row.user_id, row.device_id, row.is_guest, row.room_id, row.type, row.state_key, row.content,
            row.sticky_ms, row.delay_ms, row.running_since, txn_key,
        )  # fmt: skip
        return added is not None

    async def of_transaction(self, q: Queries, user_id: str, device_id: str, txn_key: str) -> DelayedEventRow | None:
        """What the same request has scheduled before."""
        record = await q.fetchrow(OF_TRANSACTION, user_id, device_id, txn_key)
        return None if record is None else _row(record)

    async def by_ids(self, q: Queries, delay_ids: Collection[str]) -> list[DelayedEventRow]:
        """Scheduled or finalised, in no order."""
        return [_row(record) for record in await q.fetch(BY_IDS, list(delay_ids))]

    async def scheduled(self, q: Queries) -> list[ScheduledRow]:
        """All that wait to be sent; asked once, at the start."""
        return [ScheduledRow(*record.values()) for record in await q.fetch(SCHEDULED)]

    async def restarted(self, q: Queries, running_since: Sequence[tuple[str, int]]) -> None:
        """(delay id, since when it runs) of those that were restarted."""
        await q.execute(RESTARTED, *map(list, zip(*running_since, strict=True)))

    async def finalise(self, q: Queries, outcomes: Sequence[Outcome], now_ms: int) -> None:
        """They are sent, failed or cancelled."""
        await q.execute(FINALISE, now_ms, *map(list, zip(*outcomes, strict=True)))

    async def page(self, q: Queries, user_id: str, page: PageOfDelayed) -> list[DelayedEventRow]:
        """A user's delayed events by the time at which they are due."""
        due_ms, delay_id = page.after or (None, None)
        records = await q.fetch(
            BACKWARDS if page.backwards else FORWARDS,
            user_id, page.from_ms, page.to_ms, page.room_id, page.event_type,
            None if page.delay_ids is None else list(page.delay_ids), page.status, due_ms, delay_id, page.limit,
        )  # fmt: skip
        return [_row(record) for record in records]

    async def forget_finalised(self, q: Queries, before_ms: int, kept_of_user: int) -> None:
        """Housekeeping: those finalised before, and of each user all but the newest."""
        await q.execute(FORGET_FINALISED, before_ms, kept_of_user)

    async def forget_transactions(self, q: Queries, user_id: str, device_ids: Sequence[str]) -> None:
        """The devices are gone; one that is later given the same id begins anew."""
        await q.execute(FORGET_TRANSACTIONS, user_id, list(device_ids))

    async def forget_user(self, q: Queries, user_id: str) -> None:
        """The account is gone."""
        await q.execute(FORGET_USER, user_id)


def _row(record: Record) -> DelayedEventRow:
    return DelayedEventRow(*record.values())

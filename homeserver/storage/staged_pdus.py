"""Table `staged_pdus`: events of other servers that were acknowledged before they were dealt with."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from asyncpg import Record

    from homeserver.storage.database import Queries

# Parallel arrays. Staged a second time, it is the same event.
ADD = """
INSERT INTO staged_pdus (room_id, event_id, origin, staged_ms, retry_at_ms, pdu)
SELECT $1, e.event_id, $2, $3, $4, e.pdu FROM unnest($5::text[], $6::bytea[]) AS e(event_id, pdu)
ON CONFLICT (room_id, event_id) DO NOTHING
"""

# Due rows are taken by moving their time: who takes them has until then.
TAKE = """
UPDATE staged_pdus s SET retry_at_ms = $2 FROM (
    SELECT room_id, event_id FROM staged_pdus WHERE retry_at_ms <= $1 ORDER BY retry_at_ms LIMIT $3 FOR UPDATE SKIP LOCKED
) due
WHERE s.room_id = due.room_id AND s.event_id = due.event_id
RETURNING s.room_id, s.origin, s.staged_ms, s.pdu
"""

ALL_DUE = "UPDATE staged_pdus SET retry_at_ms = 0"

REMOVE = "DELETE FROM staged_pdus WHERE room_id = $1 AND event_id = ANY($2::text[])"

GIVE_UP = "DELETE FROM staged_pdus WHERE staged_ms < $1"


class StagedPdus:
    """PDUs as JSON."""

    async def add(
        self, q: Queries, room_id: str, origin: str, now_ms: int, retry_at_ms: int, pdus: Sequence[tuple[str, bytes]]
    ) -> None:
        """(event id, PDU): keep these of one room."""
        event_ids, bodies = [each[0] for each in pdus], [each[1] for each in pdus]
        await q.execute(ADD, room_id, origin, now_ms, retry_at_ms, event_ids, bodies)

    async def take(self, q: Queries, now_ms: int, until_ms: int, limit: int) -> list[Record]:
        """(room_id, origin, staged_ms, pdu) of those whose time has come; their next time is `until_ms`."""
        return await q.fetch(TAKE, now_ms, until_ms, limit)

    async def all_due(self, q: Queries) -> None:
        """After a start: nobody is at work on any."""
        await q.execute(ALL_DUE)

    async def remove(self, q: Queries, room_id: str, event_ids: Collection[str]) -> None:
        """Their fate is decided."""
        await q.execute(REMOVE, room_id, list(event_ids))

    async def give_up(self, q: Queries, before_ms: int) -> None:
        """Forget those that were staged before that time."""
        await q.execute(GIVE_UP, before_ms)

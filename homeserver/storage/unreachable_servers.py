"""Table `unreachable_servers`: which other servers failed, and until when they are left alone."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from homeserver.storage.database import Queries

NEWEST = """
SELECT server_name, failing_since_ms, pause_ms, retry_at_ms FROM unreachable_servers
WHERE retry_at_ms >= $1 ORDER BY retry_at_ms DESC LIMIT $2
"""

# Parallel arrays.
PUT = """
INSERT INTO unreachable_servers (server_name, failing_since_ms, pause_ms, retry_at_ms)
SELECT * FROM unnest($1::text[], $2::bigint[], $3::bigint[], $4::bigint[])
ON CONFLICT (server_name) DO UPDATE
SET failing_since_ms = excluded.failing_since_ms, pause_ms = excluded.pause_ms, retry_at_ms = excluded.retry_at_ms
"""

FORGET = "DELETE FROM unreachable_servers WHERE server_name = ANY($1::text[])"

FORGET_BEFORE = "DELETE FROM unreachable_servers WHERE retry_at_ms < $1"


@dataclass(frozen=True, slots=True)
class Pause:
    """A server that failed. Milliseconds: since when, how long the pause is, and when it ends."""

    failing_since_ms: int
    pause_ms: int
    retry_at_ms: int


class UnreachableServerRows:
    """Queries over servers that fail."""

    async def newest(self, q: Queries, retry_at_ms: int, limit: int) -> dict[str, Pause]:
        """Those to be tried at `retry_at_ms` or later, at most `limit`."""
        rows = await q.fetch(NEWEST, retry_at_ms, limit)
        return {name: Pause(since_ms, pause_ms, at_ms) for name, since_ms, pause_ms, at_ms in rows}

    async def put(self, q: Queries, pauses: Mapping[str, Pause]) -> None:
        """These failed."""
        of = list(pauses.values())
        await q.execute(
            PUT,
            list(pauses),
            [pause.failing_since_ms for pause in of],
            [pause.pause_ms for pause in of],
            [pause.retry_at_ms for pause in of],
        )

    async def forget(self, q: Queries, server_names: Collection[str]) -> None:
        """These answered."""
        await q.execute(FORGET, list(server_names))

    async def forget_before(self, q: Queries, retry_at_ms: int) -> None:
        """Housekeeping: those that nobody has wanted to reach for long."""
        await q.execute(FORGET_BEFORE, retry_at_ms)

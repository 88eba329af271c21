"""Tables `provider_visits` and `provider_arrivals`: browsers that are at a provider, and people back without an account."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import orjson

if TYPE_CHECKING:
    from homeserver.storage.database import Queries

BEGIN = """
INSERT INTO provider_visits (state_hash, provider, pending_id, browser_id, expires_ms) VALUES ($1, $2, $3, $4, $5)
"""

# Answered once, and in the browser that began it. What another browser brings changes nothing.
END = """
DELETE FROM provider_visits WHERE state_hash = $1 AND provider = $2 AND browser_id = $3 AND expires_ms > $4
RETURNING pending_id
"""

ARRIVE = """
INSERT INTO provider_arrivals (pending_id, provider, person, sid, expires_ms) VALUES ($1, $2, $3::jsonb, $4, $5)
ON CONFLICT (pending_id) DO UPDATE
SET provider = excluded.provider, person = excluded.person, sid = excluded.sid, expires_ms = excluded.expires_ms
"""

ARRIVAL = "SELECT provider, person, sid FROM provider_arrivals WHERE pending_id = $1 AND expires_ms > $2"

SETTLE = "DELETE FROM provider_arrivals WHERE pending_id = $1 RETURNING true"

FORGET_EXPIRED = """
WITH arrivals AS (DELETE FROM provider_arrivals WHERE expires_ms <= $1)
DELETE FROM provider_visits WHERE expires_ms <= $1
"""


@dataclass(frozen=True, slots=True)
class StoredArrival:
    """Somebody has proved who he is with a provider."""

    provider: str
    person: Mapping[str, Any]
    sid: str | None


class ProviderVisitRows:
    """Queries over visits and arrivals."""

    async def begin(
        self, q: Queries, state_hash: bytes, provider: str, pending_id: str, browser_id: int, expires_ms: int
    ) -> None:
        """The browser goes to a provider."""
        await q.execute(BEGIN, state_hash, provider, pending_id, browser_id, expires_ms)

    async def end(self, q: Queries, state_hash: bytes, provider: str, browser_id: int, now_ms: int) -> str | None:
        """It is back: what it came for. None where this is no answer to anything that this browser began."""
        pending_id: str | None = await q.fetchval(END, state_hash, provider, browser_id, now_ms)
        return pending_id

    async def arrive(self, q: Queries, pending_id: str, arrival: StoredArrival, expires_ms: int) -> None:
        """Which account is his remains open."""
        person = orjson.dumps(dict(arrival.person)).decode()
        await q.execute(ARRIVE, pending_id, arrival.provider, person, arrival.sid, expires_ms)

    async def arrival(self, q: Queries, pending_id: str, now_ms: int) -> StoredArrival | None:
        """Who waits; None where nobody does (any more)."""
        row = await q.fetchrow(ARRIVAL, pending_id, now_ms)
        return None if row is None else StoredArrival(row[0], orjson.loads(row[1]), row[2])

    async def settle(self, q: Queries, pending_id: str) -> bool:
        """It is decided; False where it was before."""
        return bool(await q.fetchval(SETTLE, pending_id))

    async def forget_expired(self, q: Queries, now_ms: int) -> None:
        """Housekeeping."""
        await q.execute(FORGET_EXPIRED, now_ms)

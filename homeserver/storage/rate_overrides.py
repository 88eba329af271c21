"""Table `rate_overrides`: users with a rate of their own."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from homeserver.storage.database import Queries

ALL = "SELECT user_id, burst, interval_ms FROM rate_overrides"
PUT = """
INSERT INTO rate_overrides (user_id, burst, interval_ms) VALUES ($1, $2, $3)
ON CONFLICT (user_id) DO UPDATE SET burst = excluded.burst, interval_ms = excluded.interval_ms
"""
DELETE = "DELETE FROM rate_overrides WHERE user_id = $1"


class RateOverrideRows:
    """A few rows: administrators make them one by one."""

    async def all(self, q: Queries) -> dict[str, tuple[int, float] | None]:
        """By user id (burst, interval_ms); None for who is not limited."""
        return {
            row["user_id"]: None if row["burst"] is None else (row["burst"], row["interval_ms"])
            for row in await q.fetch(ALL)
        }

    async def put(self, q: Queries, user_id: str, rate: tuple[int, float] | None) -> None:
        """Replaces what he had."""
        await q.execute(PUT, user_id, *(rate or (None, None)))

    async def delete(self, q: Queries, user_id: str) -> None:
        """The usual rates again."""
        await q.execute(DELETE, user_id)

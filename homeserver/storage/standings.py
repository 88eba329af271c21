"""Columns of `users`: who is locked, who is suspended."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from homeserver.storage.database import Queries

RESTRICTED = """
SELECT user_id, locked_ms IS NOT NULL, suspended_ms IS NOT NULL FROM users
WHERE locked_ms IS NOT NULL OR suspended_ms IS NOT NULL
"""

# When it began stays what it was where it is said twice.
SET_LOCKED = "UPDATE users SET locked_ms = CASE WHEN $2 THEN coalesce(locked_ms, $3) END WHERE user_id = $1"

SET_SUSPENDED = "UPDATE users SET suspended_ms = CASE WHEN $2 THEN coalesce(suspended_ms, $3) END WHERE user_id = $1"


@dataclass(frozen=True, slots=True)
class Restricted:
    """Somebody whose account may not be used as others may."""

    user_id: str
    is_locked: bool
    is_suspended: bool


class StandingRows:
    """Queries over who is locked or suspended."""

    async def restricted(self, q: Queries) -> list[Restricted]:
        """All of them."""
        return [Restricted(*row) for row in await q.fetch(RESTRICTED)]

    async def set_locked(self, q: Queries, user_id: str, locked: bool, now_ms: int) -> None:
        """Lock or unlock an account."""
        await q.execute(SET_LOCKED, user_id, locked, now_ms)

    async def set_suspended(self, q: Queries, user_id: str, suspended: bool, now_ms: int) -> None:
        """Suspend an account, or end that."""
        await q.execute(SET_SUSPENDED, user_id, suspended, now_ms)

"""Who has agreed in a browser to new cross-signing keys."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from homeserver.storage.database import Queries

ALLOW = """
INSERT INTO cross_signing_resets (user_id, until_ms) VALUES ($1, $2)
ON CONFLICT (user_id) DO UPDATE SET until_ms = excluded.until_ms
"""

USE = "DELETE FROM cross_signing_resets WHERE user_id = $1 RETURNING until_ms > $2"

FORGET_EXPIRED = "DELETE FROM cross_signing_resets WHERE until_ms <= $1"


class CrossSigningResetRows:
    """Queries over such agreements."""

    async def allow(self, q: Queries, user_id: str, until_ms: int) -> None:
        """Once, until then."""
        await q.execute(ALLOW, user_id, until_ms)

    async def use(self, q: Queries, user_id: str, now_ms: int) -> bool:
        """Whether there was one; it is used up."""
        return bool(await q.fetchval(USE, user_id, now_ms))

    async def forget_expired(self, q: Queries, now_ms: int) -> None:
        """Housekeeping."""
        await q.execute(FORGET_EXPIRED, now_ms)

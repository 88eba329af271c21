"""Tokens of `m.login.token`, as SHA-256."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from homeserver.storage.database import Queries

ADD = "INSERT INTO login_tokens (token_hash, device_nid, expires_ms) VALUES ($1, $2, $3)"

USE = """
DELETE FROM login_tokens t USING devices d
WHERE t.token_hash = $1 AND t.expires_ms > $2 AND d.device_nid = t.device_nid
RETURNING d.user_id
"""

FORGET_EXPIRED = "DELETE FROM login_tokens WHERE expires_ms <= $1"


class LoginTokenRows:
    """Queries over login tokens."""

    async def add(self, q: Queries, token_hash: bytes, device_nid: int, expires_ms: int) -> None:
        """A token that ends with the device that asked for it."""
        await q.execute(ADD, token_hash, device_nid, expires_ms)

    async def use(self, q: Queries, token_hash: bytes, now_ms: int) -> str | None:
        """Use the token up and return whose it was; None where it is not valid."""
        user_id: str | None = await q.fetchval(USE, token_hash, now_ms)
        return user_id

    async def forget_expired(self, q: Queries, now_ms: int) -> None:
        """Housekeeping."""
        await q.execute(FORGET_EXPIRED, now_ms)

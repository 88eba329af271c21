"""Tokens of `m.login.token`, as SHA-256."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from homeserver.storage.database import Queries

ADD = "INSERT INTO login_tokens (token_hash, device_nid, expires_ms) VALUES ($1, $2, $3)"

ADD_OF_BROWSER = "INSERT INTO login_tokens (token_hash, browser_id, user_id, expires_ms) VALUES ($1, $2, $3, $4)"

USE = """
WITH used AS (
    DELETE FROM login_tokens WHERE token_hash = $1 AND expires_ms > $2 RETURNING device_nid, browser_id, user_id
)
SELECT coalesce(d.user_id, u.user_id), u.browser_id FROM used u LEFT JOIN devices d USING (device_nid)
"""

FORGET_EXPIRED = "DELETE FROM login_tokens WHERE expires_ms <= $1"


@dataclass(frozen=True, slots=True)
class TokenUser:
    """Whose token it was. `browser_id`: where he got it, if it was in a browser."""

    user_id: str
    browser_id: int | None


class LoginTokenRows:
    """Queries over login tokens."""

    async def add(self, q: Queries, token_hash: bytes, device_nid: int, expires_ms: int) -> None:
        """A token that ends with the device that asked for it."""
        await q.execute(ADD, token_hash, device_nid, expires_ms)

    async def add_of_browser(
        self, q: Queries, token_hash: bytes, browser_id: int, user_id: str, expires_ms: int
    ) -> None:
        """A token of somebody who has signed in in a browser; it ends with the browser."""
        await q.execute(ADD_OF_BROWSER, token_hash, browser_id, user_id, expires_ms)

    async def use(self, q: Queries, token_hash: bytes, now_ms: int) -> TokenUser | None:
        """Use the token up and return whose it was; None where it is not valid."""
        row = await q.fetchrow(USE, token_hash, now_ms)
        return None if row is None else TokenUser(row[0], row[1])

    async def forget_expired(self, q: Queries, now_ms: int) -> None:
        """Housekeeping."""
        await q.execute(FORGET_EXPIRED, now_ms)

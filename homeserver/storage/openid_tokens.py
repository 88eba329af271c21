"""Table `openid_tokens`: tokens that only prove who somebody is, as SHA-256."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from homeserver.storage.database import Queries

ADD = "INSERT INTO openid_tokens (token_hash, user_id, device_nid, expires_ms) VALUES ($1, $2, $3, $4)"

OWNER = """
SELECT t.user_id, d.device_id FROM openid_tokens t JOIN users u ON u.user_id = t.user_id
LEFT JOIN devices d ON d.device_nid = t.device_nid
WHERE t.token_hash = $1 AND t.expires_ms > $2 AND u.deactivated_ms IS NULL
    AND u.locked_ms IS NULL AND u.suspended_ms IS NULL
"""

FORGET_EXPIRED = "DELETE FROM openid_tokens WHERE expires_ms <= $1"


@dataclass(frozen=True, slots=True)
class TokenOwner:
    """Who asked for a token, and on which device; application services may have none."""

    user_id: str
    device_id: str | None


class OpenIdTokenRows:
    """Queries over OpenID tokens."""

    async def add(
        self, q: Queries, token_hash: bytes, user_id: str, device_nid: int | None, expires_ms: int
    ) -> None:  # fmt: skip
        """A token that ends with the device, if there is one."""
        await q.execute(ADD, token_hash, user_id, device_nid, expires_ms)

    async def owner(self, q: Queries, token_hash: bytes, now_ms: int) -> TokenOwner | None:
        """Whose token it is; None where it is not valid."""
        row = await q.fetchrow(OWNER, token_hash, now_ms)
        return TokenOwner(*row) if row else None

    async def forget_expired(self, q: Queries, now_ms: int) -> None:
        """Housekeeping."""
        await q.execute(FORGET_EXPIRED, now_ms)

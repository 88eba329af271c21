"""Authorization codes, as SHA-256."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from homeserver.storage.database import Queries

ADD = """
INSERT INTO oauth_codes (code_hash, client_id, user_id, device_id, redirect_uri, code_challenge, scope, expires_ms)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
"""

GET = """
SELECT client_id, user_id, device_id, redirect_uri, code_challenge, scope, used, expires_ms
FROM oauth_codes WHERE code_hash = $1
"""

USE = "UPDATE oauth_codes SET used = true WHERE code_hash = $1 AND NOT used RETURNING true"

FORGET_EXPIRED = "DELETE FROM oauth_codes WHERE expires_ms < $1"


@dataclass(frozen=True, slots=True)
class StoredCode:
    """What a code stands for."""

    client_id: str
    user_id: str
    device_id: str
    redirect_uri: str
    code_challenge: str
    scope: str
    used: bool
    expires_ms: int


class OAuthCodeRows:
    """Queries over codes."""

    async def add(self, q: Queries, code_hash: bytes, code: StoredCode) -> None:
        """A code nobody has used."""
        await q.execute(
            ADD,
            code_hash,
            code.client_id,
            code.user_id,
            code.device_id,
            code.redirect_uri,
            code.code_challenge,
            code.scope,
            code.expires_ms,
        )

    async def get(self, q: Queries, code_hash: bytes) -> StoredCode | None:
        """The code, also one that was used or has expired."""
        row = await q.fetchrow(GET, code_hash)
        return StoredCode(*row) if row else None

    async def use(self, q: Queries, code_hash: bytes) -> bool:
        """False where somebody else was faster."""
        return bool(await q.fetchval(USE, code_hash))

    async def forget_expired(self, q: Queries, before_ms: int) -> None:
        """Housekeeping."""
        await q.execute(FORGET_EXPIRED, before_ms)

"""Tokens that let people register, and the one-time link that makes the first administrator."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from homeserver.storage.database import Queries

_USABLE = "(expires_ms IS NULL OR expires_ms > $2) AND (uses_allowed IS NULL OR completed < uses_allowed)"

IS_USABLE = f"SELECT EXISTS (SELECT FROM registration_tokens WHERE token = $1 AND {_USABLE})"

USE = f"UPDATE registration_tokens SET completed = completed + 1 WHERE token = $1 AND {_USABLE} RETURNING token"

ADD = """
INSERT INTO registration_tokens (token, uses_allowed, expires_ms, created_ms) VALUES ($1, $2, $3, $4)
ON CONFLICT DO NOTHING RETURNING token
"""

REPLACE_SETUP_LINK = """
INSERT INTO setup_links (token_hash, expires_ms) VALUES ($1, $2)
ON CONFLICT (only_row) DO UPDATE SET token_hash = $1, expires_ms = $2
"""

IS_SETUP_LINK = "SELECT EXISTS (SELECT FROM setup_links WHERE token_hash = $1 AND expires_ms > $2)"

USE_SETUP_LINK = "DELETE FROM setup_links WHERE token_hash = $1 AND expires_ms > $2 RETURNING true"


class RegistrationTokens:
    """Queries over registration tokens."""

    async def is_usable(self, q: Queries, token: str, now_ms: int) -> bool:
        """Whether the token exists, has not expired and is not used up."""
        return bool(await q.fetchval(IS_USABLE, token, now_ms))

    async def use(self, q: Queries, token: str, now_ms: int) -> bool:
        """Count one registration; False where the token is not usable (any more)."""
        return await q.fetchval(USE, token, now_ms) is not None

    async def add(self, q: Queries, token: str, uses_allowed: int | None, expires_ms: int | None, now_ms: int) -> bool:
        """Add a token; False where it exists."""
        return await q.fetchval(ADD, token, uses_allowed, expires_ms, now_ms) is not None


class SetupLinkRows:
    """Queries over the one setup link there may be."""

    async def replace(self, q: Queries, token_hash: bytes, expires_ms: int) -> None:
        """The only link that is valid from now on."""
        await q.execute(REPLACE_SETUP_LINK, token_hash, expires_ms)

    async def is_valid(self, q: Queries, token_hash: bytes, now_ms: int) -> bool:
        """Whether the link could be used now."""
        return bool(await q.fetchval(IS_SETUP_LINK, token_hash, now_ms))

    async def use(self, q: Queries, token_hash: bytes, now_ms: int) -> bool:
        """Use it up; False where it is not valid."""
        return bool(await q.fetchval(USE_SETUP_LINK, token_hash, now_ms))

"""Tokens that let people register, and the one-time link that makes the first administrator."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
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

# Pending: somebody has shown the token in a registration that is not finished yet.
LISTED = """
SELECT t.token, t.uses_allowed, t.completed, t.expires_ms,
       (SELECT count(*) FROM ui_auth_sessions s
        WHERE s.expires_ms > $1 AND s.completed ->> 'm.login.registration_token' = t.token) AS pending
FROM registration_tokens t
"""

LIST = LISTED + " ORDER BY t.created_ms, t.token"

BY_TOKEN = LISTED + " WHERE t.token = $2"

# $3 and $5 say whether a new value is given at all: NULL means without a limit.
CHANGE = """
UPDATE registration_tokens SET uses_allowed = CASE WHEN $3 THEN $2 ELSE uses_allowed END,
                               expires_ms = CASE WHEN $5 THEN $4 ELSE expires_ms END
WHERE token = $1 RETURNING token
"""

DELETE = "DELETE FROM registration_tokens WHERE token = $1 RETURNING token"

REPLACE_SETUP_LINK = """
INSERT INTO setup_links (token_hash, expires_ms) VALUES ($1, $2)
ON CONFLICT (only_row) DO UPDATE SET token_hash = $1, expires_ms = $2
"""

IS_SETUP_LINK = "SELECT EXISTS (SELECT FROM setup_links WHERE token_hash = $1 AND expires_ms > $2)"

USE_SETUP_LINK = "DELETE FROM setup_links WHERE token_hash = $1 AND expires_ms > $2 RETURNING true"


@dataclass(frozen=True, slots=True)
class RegistrationToken:
    """One token; `uses_allowed` and `expires_ms` are None where there is no limit."""

    token: str
    uses_allowed: int | None
    completed: int
    expires_ms: int | None
    pending: int

    def is_valid(self, now_ms: int) -> bool:
        """Whether somebody could register with it."""
        used_up = self.uses_allowed is not None and self.completed >= self.uses_allowed
        return not used_up and (self.expires_ms is None or self.expires_ms > now_ms)


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

    async def all(self, q: Queries, now_ms: int) -> list[RegistrationToken]:
        """Every token, oldest first."""
        return [RegistrationToken(*row) for row in await q.fetch(LIST, now_ms)]

    async def get(self, q: Queries, token: str, now_ms: int) -> RegistrationToken | None:
        """One token."""
        row = await q.fetchrow(BY_TOKEN, now_ms, token)
        return RegistrationToken(*row) if row else None

    async def change(self, q: Queries, token: str, changes: Mapping[str, int | None]) -> bool:
        """Set `uses_allowed` and `expires_ms`, those that are given; False where there is no such token."""
        uses, expires = changes.get("uses_allowed"), changes.get("expires_ms")
        given = ("uses_allowed" in changes, "expires_ms" in changes)
        return await q.fetchval(CHANGE, token, uses, given[0], expires, given[1]) is not None

    async def delete(self, q: Queries, token: str) -> bool:
        """False where there is no such token."""
        return await q.fetchval(DELETE, token) is not None


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

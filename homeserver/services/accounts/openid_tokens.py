"""Tokens with which a user proves to some other service who he is, and nothing else ("OpenID")."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING

from homeserver.protocol import errors
from homeserver.services.sessions.tokens import MAX_TOKEN_CHARACTERS, hash_token
from homeserver.storage.openid_tokens import OpenIdTokenRows, TokenOwner

if TYPE_CHECKING:
    from homeserver.services.clock import Clock
    from homeserver.services.requester import Requester
    from homeserver.storage.database import Queries

LIFETIME_MS = 60 * 60_000


@dataclass(frozen=True, slots=True)
class OpenIdToken:
    """The only moment at which the token is known."""

    token: str
    expires_in_ms: int


@dataclass(frozen=True, slots=True)
class OpenIdTokens:
    """Issues tokens and says whose they are. They are good for no other request."""

    queries: Queries
    rows: OpenIdTokenRows
    clock: Clock

    async def issue(self, requester: Requester, user_id: str) -> OpenIdToken:
        """A token for the requester. Raises Forbidden where he asks for somebody else's."""
        if user_id != requester.user_id:
            raise errors.Forbidden("OpenID tokens are issued to their own user only")
        token = "vcot_" + secrets.token_urlsafe(32)
        expires_ms = self.clock.now_ms() + LIFETIME_MS
        await self.rows.add(self.queries, hash_token(token), user_id, requester.device_nid or None, expires_ms)
        return OpenIdToken(token, LIFETIME_MS)

    async def owner(self, token: str) -> TokenOwner:
        """Who asked for the token, and on which device. Raises UnknownToken."""
        owner = None
        if len(token) <= MAX_TOKEN_CHARACTERS:
            owner = await self.rows.owner(self.queries, hash_token(token), self.clock.now_ms())
        if owner is None:
            raise errors.UnknownToken("The token is not known, or has expired")
        return owner

    async def tidy(self) -> None:
        """Housekeeping: remove expired tokens."""
        await self.rows.forget_expired(self.queries, self.clock.now_ms())

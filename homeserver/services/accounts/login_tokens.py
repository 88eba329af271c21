"""A signed-in device lets another one sign in: `POST /login/get_token`, then login with `m.login.token`."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING

from homeserver.protocol import errors
from homeserver.services.audit.audit_log import AuditLog
from homeserver.services.sessions.tokens import MAX_TOKEN_CHARACTERS, hash_token
from homeserver.storage.login_tokens import LoginTokenRows, TokenUser

if TYPE_CHECKING:
    from homeserver.services.clock import Clock
    from homeserver.services.requester import Requester
    from homeserver.storage.database import Database, Queries

# Long enough to read a QR code, too short to be found lying about.
LIFETIME_MS = 2 * 60_000
# "SHOULD be limited to around five seconds": from the page that offers it, somebody has to press a button first, and
# clients on phones are slow to come up.
BROWSER_LIFETIME_MS = 60_000


@dataclass(frozen=True, slots=True)
class LoginToken:
    """The only moment at which the token is known."""

    token: str
    expires_in_ms: int


@dataclass(frozen=True, slots=True)
class LoginTokens:
    """Issues tokens and takes them back, each once."""

    database: Database
    rows: LoginTokenRows
    clock: Clock
    audit: AuditLog

    async def issue(self, requester: Requester) -> LoginToken:
        """A token for the requester, who has just proved who he is. Raises Forbidden for application services."""
        if requester.device_nid == 0:
            raise errors.Forbidden("Application services cannot ask for login tokens")
        token = "vclt_" + secrets.token_urlsafe(32)
        async with self.database.transaction() as tx:
            await self.rows.add(tx, hash_token(token), requester.device_nid, self.clock.now_ms() + LIFETIME_MS)
            await self.audit.record(tx, requester, "login_token.create", requester.user_id)
        return LoginToken(token, LIFETIME_MS)

    async def issue_in_browser(self, tx: Queries, user_id: str, browser_id: int) -> LoginToken:
        """A token for somebody who has signed in in a browser, and who goes on in a client ("SSO login")."""
        token = "vclt_" + secrets.token_urlsafe(32)
        expires_ms = self.clock.now_ms() + BROWSER_LIFETIME_MS
        await self.rows.add_of_browser(tx, hash_token(token), browser_id, user_id, expires_ms)
        return LoginToken(token, BROWSER_LIFETIME_MS)

    async def redeem(self, token: str) -> TokenUser:
        """Whose token it is; it is used up. Raises Forbidden."""
        found = None
        if len(token) <= MAX_TOKEN_CHARACTERS:
            found = await self.rows.use(self.database, hash_token(token), self.clock.now_ms())
        if found is None:
            raise errors.Forbidden("This login token is not valid")
        return found

    async def tidy(self) -> None:
        """Housekeeping: remove expired tokens."""
        await self.rows.forget_expired(self.database, self.clock.now_ms())

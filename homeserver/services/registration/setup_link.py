"""The one-time link that makes the first administrator, printed at the start of a server that has none."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING

from homeserver.protocol import errors
from homeserver.services.audit.audit_log import SETUP_LINK, AuditLog
from homeserver.services.registration.new_accounts import NewAccounts
from homeserver.services.sessions.tokens import MAX_TOKEN_CHARACTERS, hash_token
from homeserver.storage.registration_tokens import SetupLinkRows

if TYPE_CHECKING:
    from homeserver.services.clock import Clock
    from homeserver.storage.database import Database

LIFETIME_MS = 24 * 60 * 60_000
PATH = "/setup"


@dataclass(frozen=True, slots=True)
class SetupLinks:
    """There is one link at most, and none once there is an administrator."""

    database: Database
    rows: SetupLinkRows
    accounts: NewAccounts
    clock: Clock
    public_baseurl: str
    audit: AuditLog

    async def create(self) -> str | None:
        """A new link, which ends the one before; None where there is an administrator already."""
        if await self.accounts.users.has_admin(self.database):
            return None
        token = secrets.token_urlsafe(32)
        await self.rows.replace(self.database, hash_token(token), self.clock.now_ms() + LIFETIME_MS)
        return f"{self.public_baseurl.rstrip('/')}{PATH}?token={token}"

    async def check(self, token: str) -> None:
        """Raises Forbidden where the link is not valid (any more)."""
        known = len(token) <= MAX_TOKEN_CHARACTERS
        if not known or not await self.rows.is_valid(self.database, hash_token(token), self.clock.now_ms()):
            raise errors.Forbidden("This link is not valid any more. Start the server again to get a new one.")

    async def use(self, token: str, username: str, password: str, *, ip: str = "") -> str:
        """Make the administrator and return his user id; the link ends.

        Raises Forbidden, InvalidUsername, Exclusive, UserInUse, WeakPassword, InvalidParam; then the link stays valid.
        """
        await self.check(token)
        user_id = self.accounts.usernames.check_new(username)
        await self.accounts.policy.check_new(password, user_id)
        await self.accounts.check_available(user_id)
        password_hash = await self.accounts.hasher.hash(password)
        async with self.database.transaction() as tx:
            # Whoever was made administrator meanwhile by other means is the only one who decides now.
            valid = await self.rows.use(tx, hash_token(token), self.clock.now_ms())
            if not valid or await self.accounts.users.has_admin(tx):
                raise errors.Forbidden("This server has an administrator already")
            await self.accounts.add(tx, user_id, password_hash, is_admin=True)
            await self.audit.record_as(tx, SETUP_LINK, "user.create", user_id, {"admin": True}, address=ip)
        return user_id

"""Administrators act as somebody else: with a token, but without a device, so that the user sees no new one of his.

Such a token carries no role, and opens nothing that asks for the user's password. It ends by logging out with it, with
the administrator's `logout/all`, with his password, with his role, and with either account.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from homeserver.protocol import errors
from homeserver.services.audit.audit_log import AuditLog
from homeserver.services.requester import Requester
from homeserver.services.sessions.authenticator import Authenticator
from homeserver.services.sessions.tokens import hash_token, new_borrowed_token
from homeserver.storage.borrowed_tokens import BorrowedTokenRows
from homeserver.storage.users import Users

if TYPE_CHECKING:
    from homeserver.services.clock import Clock
    from homeserver.storage.database import Database

MAX_OF_ADMIN: Final = 1000


@dataclass(frozen=True, slots=True)
class BorrowedSessions:
    """Whether it is an administrator who asks has been checked before."""

    database: Database
    rows: BorrowedTokenRows
    users: Users
    authenticator: Authenticator
    audit: AuditLog
    clock: Clock

    async def begin(self, requester: Requester, user_id: str, valid_until_ms: int | None) -> str:
        """A token that acts as the user; without a time it does not expire.

        Raises UnknownToken where the administrator was logged out meanwhile; Forbidden for oneself, NotFound, UserDeactivated,
        InvalidParam for a time that is over, LimitExceeded.
        """
        if user_id == requester.user_id:
            raise errors.Forbidden("You are this user already")
        if valid_until_ms is not None and valid_until_ms <= self.clock.now_ms():
            raise errors.InvalidParam("'valid_until_ms' is a time in the future, in milliseconds")
        token = new_borrowed_token()
        async with self.database.transaction() as tx:
            if requester.device_nid and not await self.rows.hold_device(tx, requester.device_nid):
                raise errors.UnknownToken
            user = await self.users.lock(tx, user_id)
            if user is None:
                raise errors.NotFound("User not found")
            if user.is_deactivated:
                raise errors.UserDeactivated
            if not await self.rows.add(tx, hash_token(token), user_id, requester.user_id, valid_until_ms, MAX_OF_ADMIN):
                raise errors.LimitExceeded(
                    f"You have {MAX_OF_ADMIN} such tokens: log out with those that are not needed", retry_after_ms=1000
                )
            await self.audit.record(tx, requester, "user.login_as", user_id, {"valid_until_ms": valid_until_ms})
        return token

    async def end(self, requester: Requester, token: str) -> None:
        """Log out with such a token."""
        token_hash = hash_token(token)
        with self.authenticator.revoking(requester.user_id):
            await self.rows.end(self.database, token_hash)
        self.authenticator.forget([token_hash])

    async def end_of_admin(self, admin_id: str) -> None:
        """Log out everywhere; also a hook of services/accounts for a new password."""
        with self.authenticator.revoking(admin_id):
            await self.rows.end_of_admin(self.database, admin_id)
        self.authenticator.forget_user(admin_id)

    async def user_deactivated(self, user_id: str, erase: bool) -> None:
        """Hook of services/accounts."""
        with self.authenticator.revoking(user_id):
            await self.rows.end_of(self.database, user_id)
        self.authenticator.forget_user(user_id)

    async def tidy(self) -> None:
        """Housekeeping."""
        await self.rows.forget_expired(self.database, self.clock.now_ms())

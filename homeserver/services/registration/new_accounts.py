"""Make accounts: the one place where rows of users come from."""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from homeserver.protocol import errors
from homeserver.services.accounts.passwords import PasswordHasher, PasswordPolicy, check_password_size
from homeserver.services.registration.usernames import Usernames
from homeserver.storage.users import NewUser, Users

if TYPE_CHECKING:
    from homeserver.services.clock import Clock
    from homeserver.storage.database import Database, Queries

InSameTransaction = Callable[["Queries", str], Awaitable[None]]

# 80 bits: two generated names do not meet.
GENERATED_BYTES = 10


@dataclass(frozen=True, slots=True)
class NewAccounts:
    """Verbs that end with an account. Whether it may be made has been decided before."""

    database: Database
    users: Users
    hasher: PasswordHasher
    policy: PasswordPolicy
    usernames: Usernames
    clock: Clock
    valid_for_ms: int | None = None
    """How long accounts of people last; None: for ever."""

    async def check_available(self, user_id: str) -> None:
        """Raises UserInUse where somebody has, or once had, this user id."""
        if await self.users.get(self.database, user_id) is not None:
            raise errors.UserInUse

    def generated_user_id(self, prefix: str = "") -> str:
        """A user id nobody chose."""
        return self.usernames.user_id(prefix + secrets.token_hex(GENERATED_BYTES))

    async def add(
        self,
        tx: Queries,
        user_id: str,
        password_hash: str | None,
        *,
        is_guest: bool = False,
        is_admin: bool = False,
        user_type: str | None = None,
        appservice_id: str | None = None,
    ) -> None:
        """Inside of the caller's transaction. The display name begins as the localpart. Raises UserInUse."""
        user = NewUser(
            user_id=user_id,
            created_ms=self.clock.now_ms(),
            password_hash=password_hash,
            is_guest=is_guest,
            is_admin=is_admin,
            user_type=user_type,
            appservice_id=appservice_id,
            displayname=None if is_guest else _localpart(user_id),
            valid_until_ms=None if is_guest or is_admin or appservice_id is not None else self._valid_until_ms(),
        )
        if not await self.users.create(tx, user):
            raise errors.UserInUse

    async def upgrade_guest(self, tx: Queries, user_id: str, password_hash: str) -> None:
        """Make a guest a full account. Raises UserInUse where it is no guest (any more)."""
        name, until_ms = _localpart(user_id), self._valid_until_ms()
        if not await self.users.upgrade_guest(tx, user_id, password_hash, name, until_ms):
            raise errors.UserInUse

    def _valid_until_ms(self) -> int | None:
        return None if self.valid_for_ms is None else self.clock.now_ms() + self.valid_for_ms

    async def create_account(
        self,
        localpart: str,
        password: str,
        *,
        admin: bool = False,
        user_type: str | None = None,
        then: Sequence[InSameTransaction] = (),
    ) -> str:
        """An account made by somebody who may make any: the command line, tools with the shared secret.

        Returns the user id. Reserved names and short passwords are allowed. `then`: what belongs into the same
        transaction, such as an entry of the audit log. Raises InvalidUsername, UserInUse,
        InvalidParam.
        """
        user_id = self.usernames.user_id(localpart)
        check_password_size(password)
        await self.check_available(user_id)
        password_hash = await self.hasher.hash(password)
        async with self.database.transaction() as tx:
            await self.add(tx, user_id, password_hash, is_admin=admin, user_type=user_type)
            for also in then:
                await also(tx, user_id)
        return user_id


def _localpart(user_id: str) -> str:
    return user_id[1:].partition(":")[0]

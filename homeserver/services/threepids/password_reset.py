"""A new password for whoever owns an address of the account."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from homeserver.protocol import errors
from homeserver.services.accounts.account import Accounts
from homeserver.services.threepids.proofs import Proofs
from homeserver.storage.users import Users

if TYPE_CHECKING:
    from homeserver.storage.database import Database


@dataclass(frozen=True, slots=True)
class ResetPassword:
    """One verb."""

    database: Database
    users: Users
    proofs: Proofs
    accounts: Accounts

    async def __call__(self, session_id: str, new_password: str, *, logout_devices: bool) -> None:
        """Set the password of the account that has the address now, and use the proof up.

        Raises WeakPassword, Forbidden where the proof was used already, ThreepidNotFound where the address was removed.
        """
        self.accounts.policy.check(new_password)
        async with self.database.transaction() as tx:
            proof = await self.proofs.use(tx, session_id)
            owner = await self.users.owner_of_threepid(tx, proof.medium, proof.address)
        if owner is None:
            raise errors.ThreepidNotFound("No account here has this address")
        await self.accounts.check_is_ours(owner)
        await self.accounts.set_password(owner, new_password, logout_devices=logout_devices)

"""Addresses of accounts: added with a proof, removed by their owner."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from homeserver.protocol import errors
from homeserver.protocol.third_party_ids import canonical_address
from homeserver.services.threepids.notices import AccountNotices
from homeserver.services.threepids.proofs import ADD, Proofs
from homeserver.storage.threepid_sessions import Proof
from homeserver.storage.threepids import ThreepidRows
from homeserver.storage.users import Users

if TYPE_CHECKING:
    from homeserver.services.clock import Clock
    from homeserver.services.requester import Requester
    from homeserver.storage.database import Database, Queries

MAX_ADDRESSES: Final = 10
"""Each is written to whenever something happens to the account, and all accounts share one queue of mail."""
NOT_CONFIRMED: Final = "This address has not been confirmed: open the link in the mail, then try again"


@dataclass(frozen=True, slots=True)
class Addresses:
    """Verbs over the addresses of one's own account."""

    database: Database
    users: Users
    rows: ThreepidRows
    proofs: Proofs
    notices: AccountNotices
    clock: Clock
    on_removed: list[Callable[[str, str], Awaitable[None]]] = field(default_factory=list)
    """Called with the user and the address that is not his any more, after the commit."""

    async def check_addable(self, session_id: str, client_secret: str) -> None:
        """Before anybody has to give his password for what cannot be done. Raises ThreepidAuthFailed."""
        if await self.proofs.confirmed(session_id, client_secret, ADD) is None:
            raise errors.ThreepidAuthFailed(NOT_CONFIRMED)

    async def add(self, requester: Requester, session_id: str, client_secret: str) -> None:
        """Add the address that was proved; once more is no mistake while the proof lasts.

        Raises ThreepidAuthFailed, ThreepidInUse, Forbidden where there are too many, the proof was used meanwhile, or an
        administrator acts as the user: whoever has an address of the account can set its password.
        """
        if requester.impersonator is not None:
            raise errors.Forbidden("Whoever acts as somebody else adds no address to his account")
        await self.check_addable(session_id, client_secret)
        held = await self.users.threepids(self.database, requester.user_id)
        if len(held) >= MAX_ADDRESSES:
            raise errors.Forbidden(f"An account has at most {MAX_ADDRESSES} addresses")
        async with self.database.transaction() as tx:
            proof = await self.claim(tx, requester.user_id, session_id)
        if all((each.medium, each.address) != (proof.medium, proof.address) for each in held):
            await self.notices.address_added(requester.user_id, proof.medium, proof.address)

    async def claim(self, tx: Queries, user_id: str, session_id: str) -> Proof:
        """Use a proof up, in the caller's transaction. Raises ThreepidInUse, Forbidden."""
        proof = await self.proofs.use(tx, session_id)
        assert proof.validated_ms is not None
        now_ms = self.clock.now_ms()
        if not await self.rows.add(tx, proof.medium, proof.address, user_id, proof.validated_ms, now_ms):
            raise errors.ThreepidInUse("An account here has this address already")
        return proof

    async def remove(self, user_id: str, medium: str, address: str) -> None:
        """Remove it from the account. What is not there is removed already."""
        address = canonical_address(medium, address)
        if await self.rows.remove(self.database, user_id, medium, address):
            self.notices.address_removed(user_id, medium, address)
            for listener in self.on_removed:
                await listener(user_id, address)

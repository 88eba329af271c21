"""Whose an e-mail address is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from homeserver.storage.users import Users

if TYPE_CHECKING:
    from homeserver.storage.database import Queries


@dataclass(frozen=True, slots=True)
class VerifiedMailboxes:
    """Implements `Mailboxes` with the addresses of accounts."""

    queries: Queries
    users: Users

    async def verified(self, user_id: str) -> frozenset[str]:
        """Addresses that the user has proved to be his, in their canonical form."""
        threepids = await self.users.threepids(self.queries, user_id)
        return frozenset(each.address for each in threepids if each.medium == "email")

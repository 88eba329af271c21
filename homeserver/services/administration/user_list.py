"""The list of accounts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from homeserver.storage.administration import AdministrationRows, ShownUser, UserFilter

if TYPE_CHECKING:
    from homeserver.storage.database import Queries


@dataclass(frozen=True, slots=True)
class PageOfUsers:
    """`next_offset` is None on the last page."""

    users: list[ShownUser]
    total: int
    next_offset: int | None


@dataclass(frozen=True, slots=True)
class UserList:
    """One verb."""

    queries: Queries
    rows: AdministrationRows

    async def page(self, wanted: UserFilter, order: str, *, descending: bool, limit: int, offset: int) -> PageOfUsers:
        """A page of the accounts that the filter finds."""
        users, total = await self.rows.users(
            self.queries, wanted, order, descending=descending, limit=limit, offset=offset
        )
        following = offset + len(users)
        return PageOfUsers(users, total, following if users and following < total else None)

"""What users have uploaded: look, and take away."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from homeserver.services.administration.accounts import AccountAdministration
from homeserver.services.audit.audit_log import AuditLog
from homeserver.services.media.removal import RemoveMedia
from homeserver.services.requester import Requester
from homeserver.storage.user_files import Usage, UsageFilter, UserFile, UserFileRows

if TYPE_CHECKING:
    from homeserver.storage.database import Queries


@dataclass(frozen=True, slots=True)
class FileOrder:
    """Which come first, and how many. `by`: a name in `storage.user_files.ORDERS`, or `USAGE_ORDERS`."""

    by: str
    descending: bool
    limit: int
    offset: int


@dataclass(frozen=True, slots=True)
class FileAdministration:
    """All verbs raise InvalidParam and NotFound for what is no account here."""

    queries: Queries
    rows: UserFileRows
    accounts: AccountAdministration
    removal: RemoveMedia
    audit: AuditLog

    async def of_user(self, user_id: str, order: FileOrder) -> tuple[list[UserFile], int]:
        """A page, and how many there are."""
        await self.accounts.get(user_id)
        total = await self.rows.count(self.queries, user_id)
        return await self._page(user_id, order), total

    async def delete(self, requester: Requester, user_id: str, order: FileOrder) -> list[str]:
        """Remove that page, from the disk too. The media ids."""
        await self.accounts.get(user_id)
        page = await self._page(user_id, order)
        removed = await self.removal.these([file.media_id for file in page])
        await self.audit.record(self.queries, requester, "media.delete_of_user", user_id, {"count": len(removed)})
        return removed

    async def usage(self, wanted: UsageFilter, order: FileOrder) -> tuple[list[Usage], int]:
        """How much users have uploaded: a page of them, and how many there are."""
        return await self.rows.usage(
            self.queries, wanted, order.by, descending=order.descending, limit=order.limit, offset=order.offset
        )

    async def _page(self, user_id: str, order: FileOrder) -> list[UserFile]:
        return await self.rows.of_user(
            self.queries, user_id, order.by, descending=order.descending, limit=order.limit, offset=order.offset
        )

"""With which providers somebody signs in to his account: he looks, and takes one away."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from homeserver.protocol import errors
from homeserver.services.audit.audit_log import AuditLog
from homeserver.storage.external_ids import ExternalId, ExternalIdRows
from homeserver.storage.users import Users

if TYPE_CHECKING:
    from homeserver.storage.database import Database

CONNECT: Final = "connect"
"""Kind of pending: somebody who is signed in looks at his providers, and adds one."""


@dataclass(frozen=True, slots=True)
class LinkedProviders:
    """That it is he who asks, and lately, has been checked before."""

    database: Database
    rows: ExternalIdRows
    users: Users
    audit: AuditLog

    async def of_user(self, user_id: str) -> list[ExternalId]:
        """Oldest first."""
        return await self.rows.of_user(self.database, user_id)

    async def unlink(self, user_id: str, provider: str, external_id: str, address: str) -> None:
        """Raises NotFound; Forbidden where it is the only way into the account."""
        async with self.database.transaction() as tx:
            user = await self.users.lock(tx, user_id)
            others = await self.rows.of_user(tx, user_id)
            if user is None or not await self.rows.remove(tx, user_id, provider, external_id):
                raise errors.NotFound("This is not connected with your account (any more)")
            if user.password_hash is None and len(others) == 1:
                raise errors.Forbidden("This is the only way into your account: connect another one first")
            details = {"provider": provider, "external_id": external_id}
            await self.audit.record_as(tx, user_id, "user.unlinked", user_id, details, address=address)

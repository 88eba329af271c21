"""Write down who did what to whom, and read it again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from homeserver.services.audit.details import MAX_TARGET, cut, details_json
from homeserver.storage.audit import AuditEntry, AuditFilter, AuditRows, NewAuditEntry

if TYPE_CHECKING:
    from homeserver.services.clock import Clock
    from homeserver.services.requester import Requester
    from homeserver.storage.database import Queries

MAX_PAGE: Final = 500
FORGOTTEN_AT_ONCE: Final = 10_000
CLI: Final = "cli"
"""Who did it, where it was done on the command line."""
SHARED_SECRET: Final = "shared_secret"
SETUP_LINK: Final = "setup_link"


@dataclass(frozen=True, slots=True)
class AuditLog:
    """Entries are kept for `keep_ms`."""

    queries: Queries
    rows: AuditRows
    clock: Clock
    keep_ms: int

    async def record(
        self, q: Queries, requester: Requester, action: str, target: str, details: Mapping[str, Any] | None = None
    ) -> None:
        """In the transaction of what was done. `details`: small, JSON, without secrets; what is too long is cut."""
        entry = NewAuditEntry(
            at_ms=self.clock.now_ms(),
            who=requester.impersonator or requester.user_id,
            appservice_id=requester.appservice_id,
            address=requester.remote_address,
            action=action,
            target=cut(target, MAX_TARGET),
            details=details_json(details),
        )
        await self.rows.add(q, entry)

    async def record_as(
        self,
        q: Queries,
        who: str,
        action: str,
        target: str,
        details: Mapping[str, Any] | None = None,
        *,
        address: str = "",
    ) -> None:
        """The same where nobody is signed in: `who` is a word such as `CLI`."""
        entry = NewAuditEntry(
            self.clock.now_ms(), who, None, address, action, cut(target, MAX_TARGET), details_json(details)
        )
        await self.rows.add(q, entry)

    async def page(self, wanted: AuditFilter, limit: int) -> list[AuditEntry]:
        """Newest first, at most `MAX_PAGE`. What follows: the same filter with `before_id` of the last one."""
        return await self.rows.page(self.queries, wanted, min(limit, MAX_PAGE))

    async def tidy(self) -> None:
        """Housekeeping: forget what is older than it is kept."""
        before_ms = self.clock.now_ms() - self.keep_ms
        while await self.rows.forget(self.queries, before_ms, FORGOTTEN_AT_ONCE) == FORGOTTEN_AT_ONCE:
            pass

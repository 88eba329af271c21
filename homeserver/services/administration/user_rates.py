"""How often somebody may send, where an administrator wants it other than for everybody."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from homeserver.protocol.errors import InvalidParam
from homeserver.services.administration.accounts import AccountAdministration
from homeserver.services.audit.audit_log import AuditLog
from homeserver.services.rate_limits import Rate
from homeserver.services.requester import Requester
from homeserver.storage.database import Database
from homeserver.storage.rate_overrides import RateOverrideRows

MAX_NUMBER: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class UserRates:
    """All verbs raise InvalidParam and NotFound for what is no account here."""

    database: Database
    rows: RateOverrideRows
    accounts: AccountAdministration
    in_force: dict[str, Rate | None]
    """What the limiter goes by; None: no limit."""
    audit: AuditLog

    async def load(self) -> None:
        """At the start of the server."""
        stored = await self.rows.all(self.database)
        self.in_force.update((user_id, None if rate is None else Rate(*rate)) for user_id, rate in stored.items())

    async def get(self, user_id: str) -> tuple[bool, Rate | None]:
        """(whether there is a rate of his own, the rate; None: no limit)."""
        await self.accounts.get(user_id)
        return user_id in self.in_force, self.in_force.get(user_id)

    async def put(self, requester: Requester, user_id: str, messages_per_second: int, burst: int) -> None:
        """0 messages in a second: no limit of any kind."""
        await self.accounts.get(user_id)
        if not (0 <= messages_per_second <= MAX_NUMBER and 0 <= burst <= MAX_NUMBER):
            raise InvalidParam(f"Rates are numbers from 0 to {MAX_NUMBER}")
        rate = Rate(max(1, burst), 1000 / messages_per_second) if messages_per_second else None
        stored = None if rate is None else (rate.burst, rate.interval_ms)
        details = {"messages_per_second": messages_per_second, "burst_count": burst}
        async with self.database.transaction() as q:
            await self.rows.put(q, user_id, stored)
            await self.audit.record(q, requester, "user.rate", user_id, details)
        self.in_force[user_id] = rate

    async def delete(self, requester: Requester, user_id: str) -> None:
        """As everybody again."""
        await self.accounts.get(user_id)
        async with self.database.transaction() as q:
            await self.rows.delete(q, user_id)
            await self.audit.record(q, requester, "user.rate.delete", user_id)
        self.in_force.pop(user_id, None)

"""Table `audit_log`: who did what to whom. Rows are added and, when they are old, deleted; never changed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from homeserver.storage.conditions import where

if TYPE_CHECKING:
    from homeserver.storage.database import Queries

ADD = """
INSERT INTO audit_log (at_ms, who, appservice_id, address, action, target, details) VALUES ($1, $2, $3, $4, $5, $6, $7)
"""

_COLUMNS = "entry_id, at_ms, who, appservice_id, address, action, target, details"

# Each is left out where it is not asked for, so that the index of what is asked for is used.
_CONDITIONS = {
    "who": "who = {0}",
    "target": "target = {0}",
    # An action, or all below a noun: "user" finds "user.deactivate". '/' comes right behind '.' in this collation.
    "action": "(action = {0} OR action >= {0} || '.' AND action < {0} || '/')",
    "since_ms": "at_ms >= {0}",
    "until_ms": "at_ms < {0}",
    "before_id": "entry_id < {0}",
}

FORGET = """
DELETE FROM audit_log WHERE entry_id IN (SELECT entry_id FROM audit_log WHERE at_ms < $1 ORDER BY at_ms LIMIT $2)
"""


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """One row. `details` is a JSON object as text."""

    entry_id: int
    at_ms: int
    who: str
    appservice_id: str | None
    address: str
    action: str
    target: str
    details: str


@dataclass(frozen=True, slots=True)
class NewAuditEntry:
    """What is known before it has its number."""

    at_ms: int
    who: str
    appservice_id: str | None
    address: str
    action: str
    target: str
    details: str


@dataclass(frozen=True, slots=True)
class AuditFilter:
    """Which entries; what is None does not matter."""

    who: str | None = None
    target: str | None = None
    action: str | None = None
    since_ms: int | None = None
    until_ms: int | None = None
    before_id: int | None = None


class AuditRows:
    """Queries over the audit log."""

    async def add(self, q: Queries, entry: NewAuditEntry) -> None:
        """Inside of the transaction of what it tells of."""
        await q.execute(
            ADD,
            entry.at_ms,
            entry.who,
            entry.appservice_id,
            entry.address,
            entry.action,
            entry.target,
            entry.details,
        )

    async def page(self, q: Queries, wanted: AuditFilter, limit: int) -> list[AuditEntry]:
        """Newest first."""
        narrowed, values = where(_CONDITIONS, wanted)
        sql = f"SELECT {_COLUMNS} FROM audit_log {narrowed}ORDER BY entry_id DESC LIMIT ${len(values) + 1}"
        return [AuditEntry(*row) for row in await q.fetch(sql, *values, limit)]

    async def forget(self, q: Queries, before_ms: int, limit: int) -> int:
        """Delete what is older, at most `limit` rows. How many there were."""
        return int((await q.execute(FORGET, before_ms, limit)).rpartition(" ")[2])

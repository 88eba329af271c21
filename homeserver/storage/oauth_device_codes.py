"""Device authorization grants that wait for somebody to agree; the device's code as SHA-256."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from homeserver.storage.database import Queries

_COLUMNS = "device_code_hash, user_code, client_id, device_id, scope, granted, user_id, interval_ms, expires_ms"

ADD = """
INSERT INTO oauth_device_codes (device_code_hash, user_code, client_id, device_id, scope, interval_ms, expires_ms)
VALUES ($1, $2, $3, $4, $5, $6, $7)
ON CONFLICT (user_code) DO NOTHING RETURNING true
"""

BY_USER_CODE = f"SELECT {_COLUMNS} FROM oauth_device_codes WHERE user_code = $1 AND expires_ms > $2 AND granted IS NULL"

BY_HASH = f"SELECT {_COLUMNS} FROM oauth_device_codes WHERE device_code_hash = $1"

# RFC 8628, 3.5: "the interval MUST be increased by 5 seconds" for who asks too often; a second is forgiven.
POLL = f"""
WITH old AS (
    SELECT device_code_hash AS hash, polled_ms > 0 AND polled_ms + interval_ms - 1000 > $2 AS too_soon
    FROM oauth_device_codes WHERE device_code_hash = $1 FOR UPDATE
)
UPDATE oauth_device_codes SET polled_ms = $2,
    interval_ms = CASE WHEN too_soon THEN least(interval_ms + 5000, 60000) ELSE interval_ms END
FROM old WHERE device_code_hash = old.hash
RETURNING {_COLUMNS}, old.too_soon
"""

DECIDE = """
UPDATE oauth_device_codes SET granted = $2, user_id = $3
WHERE device_code_hash = $1 AND granted IS NULL AND expires_ms > $4 RETURNING true
"""

USE = "DELETE FROM oauth_device_codes WHERE device_code_hash = $1 AND granted RETURNING true"

FORGET_EXPIRED = "DELETE FROM oauth_device_codes WHERE expires_ms < $1"


@dataclass(frozen=True, slots=True)
class StoredDeviceCode:
    """What a device waits for."""

    device_code_hash: bytes
    user_code: str
    client_id: str
    device_id: str
    scope: str
    granted: bool | None
    """None: nobody has decided."""
    user_id: str | None
    interval_ms: int
    expires_ms: int


class OAuthDeviceCodeRows:
    """Queries over such codes."""

    async def add(self, q: Queries, code: StoredDeviceCode) -> bool:
        """False where the user's code is taken."""
        added = await q.fetchval(
            ADD,
            code.device_code_hash,
            code.user_code,
            code.client_id,
            code.device_id,
            code.scope,
            code.interval_ms,
            code.expires_ms,
        )
        return bool(added)

    async def by_user_code(self, q: Queries, user_code: str, now_ms: int) -> StoredDeviceCode | None:
        """One about which nobody has decided."""
        row = await q.fetchrow(BY_USER_CODE, user_code, now_ms)
        return StoredDeviceCode(*row) if row else None

    async def by_hash(self, q: Queries, device_code_hash: bytes) -> StoredDeviceCode | None:
        """Also one that has expired."""
        row = await q.fetchrow(BY_HASH, device_code_hash)
        return StoredDeviceCode(*row) if row else None

    async def poll(self, q: Queries, device_code_hash: bytes, now_ms: int) -> tuple[StoredDeviceCode, bool] | None:
        """The device asks; whether it asks too soon. None where the code is not known (any more)."""
        row = await q.fetchrow(POLL, device_code_hash, now_ms)
        return None if row is None else (StoredDeviceCode(*row[:-1]), row[-1])

    async def decide(self, q: Queries, device_code_hash: bytes, granted: bool, user_id: str, now_ms: int) -> bool:
        """False where somebody has decided before, or it has expired."""
        return bool(await q.fetchval(DECIDE, device_code_hash, granted, user_id, now_ms))

    async def use(self, q: Queries, device_code_hash: bytes) -> bool:
        """False where it was used before."""
        return bool(await q.fetchval(USE, device_code_hash))

    async def forget_expired(self, q: Queries, before_ms: int) -> None:
        """Housekeeping."""
        await q.execute(FORGET_EXPIRED, before_ms)

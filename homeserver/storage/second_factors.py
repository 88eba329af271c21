"""Tables `totp` and `recovery_codes`: the second factor of accounts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from homeserver.storage.database import Queries

IS_ENROLLED = "SELECT EXISTS (SELECT FROM totp WHERE user_id = $1 AND secret IS NOT NULL)"

STATUS = """
SELECT enrolled_ms, (SELECT count(*) FROM recovery_codes r WHERE r.user_id = t.user_id)
FROM totp t WHERE user_id = $1 AND secret IS NOT NULL
"""

LOCK = """
SELECT secret, last_step, failures, blocked_until_ms, new_secret, new_expires_ms
FROM totp WHERE user_id = $1 FOR UPDATE
"""

OFFER = """
INSERT INTO totp (user_id, new_secret, new_expires_ms) VALUES ($1, $2, $3)
ON CONFLICT (user_id) DO UPDATE SET new_secret = $2, new_expires_ms = $3
"""

ENROL = """
UPDATE totp SET secret = new_secret, new_secret = NULL, new_expires_ms = NULL, enrolled_ms = $3, last_step = $2,
    failures = 0, blocked_until_ms = 0
WHERE user_id = $1
"""

USED = "UPDATE totp SET last_step = greatest(last_step, $2), failures = 0, blocked_until_ms = 0 WHERE user_id = $1"

FAILED = "UPDATE totp SET failures = $2, blocked_until_ms = $3 WHERE user_id = $1"

REPLACE_RECOVERY_CODES = """
WITH old AS (DELETE FROM recovery_codes WHERE user_id = $1)
INSERT INTO recovery_codes (user_id, code_hash) SELECT $1, unnest($2::bytea[])
"""

USE_RECOVERY_CODE = "DELETE FROM recovery_codes WHERE user_id = $1 AND code_hash = $2 RETURNING true"

REMOVE = "DELETE FROM totp WHERE user_id = $1 RETURNING secret IS NOT NULL"


@dataclass(frozen=True, slots=True)
class StoredTotp:
    """One account's row."""

    secret: str | None = field(repr=False)
    last_step: int
    failures: int
    blocked_until_ms: int
    new_secret: str | None = field(repr=False)
    new_expires_ms: int | None


class SecondFactorRows:
    """Queries over second factors."""

    async def is_enrolled(self, q: Queries, user_id: str) -> bool:
        """Whether the account has one."""
        return bool(await q.fetchval(IS_ENROLLED, user_id))

    async def status(self, q: Queries, user_id: str) -> tuple[int, int] | None:
        """Since when, and how many recovery codes are left; None where the account has no second factor."""
        row = await q.fetchrow(STATUS, user_id)
        return None if row is None else (row[0], row[1])

    async def lock(self, tx: Queries, user_id: str) -> StoredTotp | None:
        """Held until the transaction ends: two codes at once are looked at one after the other."""
        row = await tx.fetchrow(LOCK, user_id)
        return None if row is None else StoredTotp(*row)

    async def offer(self, q: Queries, user_id: str, new_secret: str, expires_ms: int) -> None:
        """A secret that is shown now; the one in use stays until a code of the new one arrives."""
        await q.execute(OFFER, user_id, new_secret, expires_ms)

    async def enrol(self, tx: Queries, user_id: str, step: int, now_ms: int) -> None:
        """The offered secret is the secret; the code of `step` has been used."""
        await tx.execute(ENROL, user_id, step, now_ms)

    async def used(self, tx: Queries, user_id: str, step: int) -> None:
        """A right code; step 0 for a recovery code."""
        await tx.execute(USED, user_id, step)

    async def failed(self, tx: Queries, user_id: str, failures: int, blocked_until_ms: int) -> None:
        """A wrong code."""
        await tx.execute(FAILED, user_id, failures, blocked_until_ms)

    async def replace_recovery_codes(self, tx: Queries, user_id: str, hashes: Sequence[bytes]) -> None:
        """All others are good no more."""
        await tx.execute(REPLACE_RECOVERY_CODES, user_id, list(hashes))

    async def use_recovery_code(self, tx: Queries, user_id: str, code_hash: bytes) -> bool:
        """False where there is none such (any more)."""
        return bool(await tx.fetchval(USE_RECOVERY_CODE, user_id, code_hash))

    async def remove(self, q: Queries, user_id: str) -> bool:
        """The account has no second factor any more. False where it had none."""
        return bool(await q.fetchval(REMOVE, user_id))

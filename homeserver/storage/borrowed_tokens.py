"""Table `borrowed_tokens`: access tokens with which administrators act as somebody else, as SHA-256."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from homeserver.storage.database import Queries

# Nothing where the administrator has so many already.
ADD = """
INSERT INTO borrowed_tokens (token_hash, user_id, admin_id, expires_ms)
SELECT $1, $2, $3, $4 WHERE (SELECT count(*) FROM borrowed_tokens WHERE admin_id = $3) < $5
RETURNING true
"""

# Who is about to log this device out waits until the token is there, and then takes it away.
HOLD_DEVICE = "SELECT true FROM devices WHERE device_nid = $1 FOR KEY SHARE"

GET = """
SELECT b.user_id, b.admin_id, b.expires_ms, u.is_guest, u.valid_until_ms
FROM borrowed_tokens b JOIN users u ON u.user_id = b.user_id JOIN users a ON a.user_id = b.admin_id
WHERE b.token_hash = $1 AND u.deactivated_ms IS NULL AND a.deactivated_ms IS NULL AND a.is_admin
"""

END = "DELETE FROM borrowed_tokens WHERE token_hash = $1"

END_OF = "DELETE FROM borrowed_tokens WHERE user_id = $1 OR admin_id = $1"

END_OF_ADMIN = "DELETE FROM borrowed_tokens WHERE admin_id = $1"

FORGET_EXPIRED = "DELETE FROM borrowed_tokens WHERE expires_ms < $1"


@dataclass(frozen=True, slots=True)
class BorrowedToken:
    """Of accounts that are not deactivated; the second is an administrator's."""

    user_id: str
    admin_id: str
    expires_ms: int | None
    is_guest: bool
    valid_until_ms: int | None


class BorrowedTokenRows:
    """Queries over borrowed tokens."""

    async def add(
        self, q: Queries, token_hash: bytes, user_id: str, admin_id: str, expires_ms: int | None, limit: int
    ) -> bool:
        """False where the administrator has `limit` of them."""
        return bool(await q.fetchval(ADD, token_hash, user_id, admin_id, expires_ms, limit))

    async def hold_device(self, q: Queries, device_nid: int) -> bool:
        """The administrator's device stays until the transaction ends; False where it is gone."""
        return bool(await q.fetchval(HOLD_DEVICE, device_nid))

    async def get(self, q: Queries, token_hash: bytes) -> BorrowedToken | None:
        """The token, also when it has expired; None where it never was one, or ended."""
        row = await q.fetchrow(GET, token_hash)
        return BorrowedToken(*row) if row else None

    async def end(self, q: Queries, token_hash: bytes) -> None:
        """This one."""
        await q.execute(END, token_hash)

    async def end_of(self, q: Queries, user_id: str) -> None:
        """Those with which anybody acts as the user, and those that he has."""
        await q.execute(END_OF, user_id)

    async def end_of_admin(self, q: Queries, admin_id: str) -> None:
        """Those that the administrator has."""
        await q.execute(END_OF_ADMIN, admin_id)

    async def forget_expired(self, q: Queries, before_ms: int) -> None:
        """Housekeeping: what expired before this time."""
        await q.execute(FORGET_EXPIRED, before_ms)

"""Local accounts: who exists, how the password is checked, who is an administrator, who is gone."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from homeserver.storage.database import Queries

_COLUMNS = "user_id, password_hash, is_guest, is_admin, user_type, appservice_id, created_ms, deactivated_ms, erased, \
locked_ms, suspended_ms, valid_until_ms"

BY_ID = f"SELECT {_COLUMNS} FROM users WHERE user_id = $1"

# NO KEY: rows that only refer to the user (devices, filters) may be written meanwhile.
LOCK = f"SELECT {_COLUMNS} FROM users WHERE user_id = $1 FOR NO KEY UPDATE"

CREATE = """
WITH made AS (
    INSERT INTO users (user_id, password_hash, is_guest, is_admin, user_type, appservice_id, created_ms, valid_until_ms)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $9)
    ON CONFLICT DO NOTHING
    RETURNING user_id
)
INSERT INTO profiles (user_id, displayname) SELECT user_id, $8 FROM made
RETURNING user_id
"""

SET_PASSWORD = "UPDATE users SET password_hash = $2 WHERE user_id = $1 AND deactivated_ms IS NULL"

REPLACE_PASSWORD_HASH = "UPDATE users SET password_hash = $3 WHERE user_id = $1 AND password_hash = $2"

UPGRADE_GUEST = """
WITH upgraded AS (
    UPDATE users SET is_guest = false, password_hash = $2, valid_until_ms = $4
    WHERE user_id = $1 AND is_guest AND deactivated_ms IS NULL
    RETURNING user_id
)
UPDATE profiles SET displayname = coalesce(displayname, $3) FROM upgraded WHERE profiles.user_id = upgraded.user_id
RETURNING profiles.user_id
"""

DEACTIVATE = """
WITH gone AS (
    UPDATE users SET password_hash = NULL, deactivated_ms = coalesce(deactivated_ms, $2), erased = erased OR $3,
        leaving = true
    WHERE user_id = $1
    RETURNING user_id
), threepids AS (
    DELETE FROM user_threepids WHERE user_id = $1
), saved_filters AS (
    DELETE FROM filters WHERE user_id = $1
), profile AS (
    UPDATE profiles SET displayname = NULL, avatar_url = NULL, fields = '{}' WHERE user_id = $1 AND $3
)
SELECT count(*) FROM gone
"""

LEAVING = "SELECT user_id, erased FROM users WHERE leaving AND deactivated_ms < $1 ORDER BY user_id LIMIT $2"

LEFT = "UPDATE users SET leaving = false WHERE user_id = $1"

HAS_ADMIN = "SELECT EXISTS (SELECT FROM users WHERE is_admin AND deactivated_ms IS NULL)"

KNOWN_AMONG = "SELECT user_id FROM users WHERE user_id = ANY($1)"

ERASED_AMONG = "SELECT user_id FROM users WHERE erased AND user_id = ANY($1)"

THREEPIDS = "SELECT medium, address, validated_ms, added_ms FROM user_threepids WHERE user_id = $1 ORDER BY added_ms"

BY_THREEPID = "SELECT user_id FROM user_threepids WHERE medium = $1 AND address = $2"


@dataclass(frozen=True, slots=True)
class User:
    """One local account, as its row says."""

    user_id: str
    password_hash: str | None
    is_guest: bool
    is_admin: bool
    user_type: str | None
    appservice_id: str | None
    created_ms: int
    deactivated_ms: int | None
    erased: bool
    locked_ms: int | None
    suspended_ms: int | None
    valid_until_ms: int | None
    """When the account ends, unless somebody renews it."""

    @property
    def is_deactivated(self) -> bool:
        return self.deactivated_ms is not None

    @property
    def is_locked(self) -> bool:
        return self.locked_ms is not None


@dataclass(frozen=True, slots=True)
class NewUser:
    """What is known of an account before it exists."""

    user_id: str
    created_ms: int
    password_hash: str | None = None
    is_guest: bool = False
    is_admin: bool = False
    user_type: str | None = None
    appservice_id: str | None = None
    displayname: str | None = None
    valid_until_ms: int | None = None
    """When it ends."""


@dataclass(frozen=True, slots=True)
class Threepid:
    """An address an account was proved to own, for administrative contact."""

    medium: str
    address: str
    validated_ms: int
    added_ms: int


class Users:
    """Queries over accounts."""

    async def get(self, q: Queries, user_id: str) -> User | None:
        """The account, also a deactivated one; None where there never was one."""
        row = await q.fetchrow(BY_ID, user_id)
        return User(*row) if row else None

    async def lock(self, q: Queries, user_id: str) -> User | None:
        """The account, held against deactivation and other logins until the transaction ends."""
        row = await q.fetchrow(LOCK, user_id)
        return User(*row) if row else None

    async def create(self, q: Queries, user: NewUser) -> bool:
        """Make the account and its profile. False where the user id is taken."""
        made = await q.fetchval(
            CREATE,
            user.user_id,
            user.password_hash,
            user.is_guest,
            user.is_admin,
            user.user_type,
            user.appservice_id,
            user.created_ms,
            user.displayname,
            user.valid_until_ms,
        )
        return made is not None

    async def set_password(self, q: Queries, user_id: str, password_hash: str) -> None:
        """A new password, by its user's will."""
        await q.execute(SET_PASSWORD, user_id, password_hash)

    async def replace_password_hash(self, q: Queries, user_id: str, old_hash: str, new_hash: str) -> None:
        """The same password hashed anew, unless it was changed meanwhile."""
        await q.execute(REPLACE_PASSWORD_HASH, user_id, old_hash, new_hash)

    async def upgrade_guest(
        self, q: Queries, user_id: str, password_hash: str | None, displayname: str, valid_until_ms: int | None
    ) -> bool:
        """Make a guest a full account. False where it is no guest (any more)."""
        upgraded = await q.fetchval(UPGRADE_GUEST, user_id, password_hash, displayname, valid_until_ms)
        return upgraded is not None

    async def deactivate(self, q: Queries, user_id: str, now_ms: int, *, erase: bool) -> bool:
        """Take away everything that lets somebody sign in; `erase` also empties the profile. False where there is no account."""
        return bool(await q.fetchval(DEACTIVATE, user_id, now_ms, erase))

    async def leaving(self, q: Queries, before_ms: int, limit: int) -> list[tuple[str, bool]]:
        """Users whose deactivation, begun before this time, was interrupted, and whether they are erased."""
        return [(row[0], row[1]) for row in await q.fetch(LEAVING, before_ms, limit)]

    async def left(self, q: Queries, user_id: str) -> None:
        """Everything that follows from the deactivation is done."""
        await q.execute(LEFT, user_id)

    async def has_admin(self, q: Queries) -> bool:
        """Whether anybody administrates this server."""
        return bool(await q.fetchval(HAS_ADMIN))

    async def known_among(self, q: Queries, user_ids: Collection[str]) -> set[str]:
        """Those of the users who have, or had, an account here."""
        return {row[0] for row in await q.fetch(KNOWN_AMONG, list(user_ids))}

    async def erased_among(self, q: Queries, user_ids: Collection[str]) -> set[str]:
        """Those of the users whose events are redacted for readers who join later."""
        return {row[0] for row in await q.fetch(ERASED_AMONG, list(user_ids))}

    async def threepids(self, q: Queries, user_id: str) -> list[Threepid]:
        """The account's addresses, oldest first."""
        return [Threepid(*row) for row in await q.fetch(THREEPIDS, user_id)]

    async def owner_of_threepid(self, q: Queries, medium: str, address: str) -> str | None:
        """The user id of the account with this address."""
        owner: str | None = await q.fetchval(BY_THREEPID, medium, address)
        return owner

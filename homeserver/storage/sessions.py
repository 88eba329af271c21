"""Access and refresh tokens, always as SHA-256.

Statements that revoke tokens return the hashes of the access tokens they revoked, so that the caller can drop them
from the memory of `services.sessions.Authenticator`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from homeserver.storage.database import Queries

# One statement: the device is found or made, what it was signed in with before is revoked, new tokens are issued.
# The caller holds the user's row lock; otherwise two logins with one device id could overlook each other's tokens.
OPEN = """
WITH device AS (
    INSERT INTO devices (user_id, device_id, display_name, created_ms, last_seen_ms, last_seen_ip, last_seen_user_agent)
    VALUES ($1, $2, $3, $4, $4, $5, $6)
    ON CONFLICT (user_id, device_id) DO UPDATE
        SET last_seen_ms = $4, last_seen_ip = $5, last_seen_user_agent = $6
    RETURNING device_nid, xmax = 0 AS is_new
), revoked AS (
    DELETE FROM access_tokens WHERE device_nid = (SELECT device_nid FROM device) RETURNING token_hash
), revoked_refresh AS (
    DELETE FROM refresh_tokens WHERE device_nid = (SELECT device_nid FROM device)
), revoked_grant AS (
    DELETE FROM oauth_grants WHERE device_nid = (SELECT device_nid FROM device)
), refresh AS (
    INSERT INTO refresh_tokens (token_hash, device_nid, expires_ms)
    SELECT $9, device_nid, $10 FROM device WHERE $9::bytea IS NOT NULL
    RETURNING token_id
), access AS (
    INSERT INTO access_tokens (token_hash, device_nid, refresh_token_id, expires_ms)
    SELECT $7, device_nid, (SELECT token_id FROM refresh), $8 FROM device
)
SELECT is_new, ARRAY(SELECT token_hash FROM revoked) FROM device
"""

BY_ACCESS_TOKEN = """
SELECT a.token_id, a.expires_ms, r.token_id AS refresh_token_id, r.predecessor_id,
       d.device_nid, d.device_id, u.user_id, u.is_guest, u.is_admin, u.valid_until_ms
FROM access_tokens a
JOIN devices d ON d.device_nid = a.device_nid
JOIN users u ON u.user_id = d.user_id
LEFT JOIN refresh_tokens r ON r.token_id = a.refresh_token_id
WHERE a.token_hash = $1 AND u.deactivated_ms IS NULL
"""

BY_REFRESH_TOKEN = """
SELECT r.token_id, r.expires_ms, r.predecessor_id, r.device_nid, d.user_id, u.locked_ms IS NOT NULL, g.client_id
FROM refresh_tokens r
JOIN devices d ON d.device_nid = r.device_nid
JOIN users u ON u.user_id = d.user_id
LEFT JOIN oauth_grants g ON g.device_nid = r.device_nid
WHERE r.token_hash = $1 AND u.deactivated_ms IS NULL
FOR UPDATE OF r
"""

# A refresh token that is used twice (the first answer got lost) has one successor only: the unused one goes.
ROTATE = """
WITH unused AS (
    DELETE FROM access_tokens a USING refresh_tokens r
    WHERE r.predecessor_id = $1 AND a.refresh_token_id = r.token_id
    RETURNING a.token_hash
), unused_refresh AS (
    DELETE FROM refresh_tokens WHERE predecessor_id = $1
), refresh AS (
    INSERT INTO refresh_tokens (token_hash, device_nid, predecessor_id, expires_ms)
    VALUES ($3, $2, $1, $4)
    RETURNING token_id
), access AS (
    INSERT INTO access_tokens (token_hash, device_nid, refresh_token_id, expires_ms)
    SELECT $5, $2, token_id, $6 FROM refresh
)
SELECT token_hash FROM unused
"""

RETIRE_PREDECESSOR = """
WITH revoked AS (
    DELETE FROM access_tokens WHERE refresh_token_id = $1 RETURNING token_hash
), revoked_refresh AS (
    DELETE FROM refresh_tokens WHERE token_id = $1 RETURNING token_hash, device_nid, expires_ms
), retired AS (
    INSERT INTO retired_refresh_tokens (token_hash, device_nid, expires_ms)
    SELECT r.token_hash, r.device_nid, r.expires_ms FROM revoked_refresh r
    WHERE EXISTS (SELECT FROM oauth_grants g WHERE g.device_nid = r.device_nid)
), heir AS (
    UPDATE refresh_tokens SET predecessor_id = NULL WHERE token_id = $2
)
SELECT token_hash FROM revoked
"""

# Kept for a while after they expired: a client that comes back with an old token is told that it is only signed out softly.
FORGET_EXPIRED = """
WITH refresh AS (DELETE FROM refresh_tokens WHERE expires_ms < $1),
    retired AS (DELETE FROM retired_refresh_tokens WHERE expires_ms < $1)
DELETE FROM access_tokens WHERE expires_ms < $1
"""


@dataclass(frozen=True, slots=True)
class NewTokens:
    """Hashes and ends of the tokens to be issued; a long-lived access token has neither end nor refresh token."""

    access_hash: bytes
    access_expires_ms: int | None
    refresh_hash: bytes | None = None
    refresh_expires_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Seen:
    """Where a device was last seen from, and when."""

    at_ms: int
    ip: str
    user_agent: str


@dataclass(frozen=True, slots=True)
class SignedIn:
    """What a new session found on its device."""

    is_new_device: bool
    revoked: Sequence[bytes]
    """Hashes of the access tokens it replaced."""


@dataclass(frozen=True, slots=True)
class StoredAccessToken:
    """An access token of an account that is not deactivated."""

    token_id: int
    expires_ms: int | None
    refresh_token_id: int | None
    predecessor_id: int | None
    """The refresh token of the generation before, which ends with the first use of this one."""
    device_nid: int
    device_id: str
    user_id: str
    is_guest: bool
    is_admin: bool
    valid_until_ms: int | None
    """When the account ends."""


@dataclass(frozen=True, slots=True)
class StoredRefreshToken:
    """A refresh token of an account that is not deactivated."""

    token_id: int
    expires_ms: int
    predecessor_id: int | None
    device_nid: int
    user_id: str
    is_locked: bool
    """Its account."""
    client_id: str | None
    """The OAuth client that it was given to."""


class SessionTokens:
    """Queries over tokens."""

    async def open(
        self, q: Queries, user_id: str, device_id: str, display_name: str | None, seen: Seen, tokens: NewTokens
    ) -> SignedIn:
        """Sign in on a device, which is made where it is new and otherwise keeps its name."""
        row = await q.fetchrow(
            OPEN,
            user_id,
            device_id,
            display_name,
            seen.at_ms,
            seen.ip,
            seen.user_agent,
            tokens.access_hash,
            tokens.access_expires_ms,
            tokens.refresh_hash,
            tokens.refresh_expires_ms,
        )
        assert row is not None
        return SignedIn(*row)

    async def by_access_token(self, q: Queries, token_hash: bytes) -> StoredAccessToken | None:
        """The access token, also when it has expired; None where it never was one or has been revoked."""
        row = await q.fetchrow(BY_ACCESS_TOKEN, token_hash)
        return StoredAccessToken(*row) if row else None

    async def by_refresh_token(self, q: Queries, token_hash: bytes) -> StoredRefreshToken | None:
        """The refresh token, also when it has expired, locked until the transaction ends."""
        row = await q.fetchrow(BY_REFRESH_TOKEN, token_hash)
        return StoredRefreshToken(*row) if row else None

    async def rotate(self, q: Queries, used: StoredRefreshToken, tokens: NewTokens) -> list[bytes]:
        """Issue the generation after `used`. Returns the hashes of an earlier successor that nobody had used."""
        rows = await q.fetch(
            ROTATE,
            used.token_id,
            used.device_nid,
            tokens.refresh_hash,
            tokens.refresh_expires_ms,
            tokens.access_hash,
            tokens.access_expires_ms,
        )
        return [row[0] for row in rows]

    async def retire(self, q: Queries, predecessor_id: int, heir_id: int) -> list[bytes]:
        """End the generation before `heir_id`, which was used for the first time. Returns revoked hashes."""
        return [row[0] for row in await q.fetch(RETIRE_PREDECESSOR, predecessor_id, heir_id)]

    async def forget_expired(self, q: Queries, before_ms: int) -> None:
        """Housekeeping: remove what expired before this time."""
        await q.execute(FORGET_EXPIRED, before_ms)

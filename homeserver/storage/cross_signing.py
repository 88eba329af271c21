"""Tables `cross_signing_keys` and `cross_signing_signatures`: users' own keys, and what they signed of each other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from homeserver.protocol.encryption.cross_signing_keys import Usage

if TYPE_CHECKING:
    from homeserver.storage.database import Queries

OF_USERS = "SELECT user_id, usage, public_key, key FROM cross_signing_keys WHERE user_id = ANY($1::text[])"

STORE = """
INSERT INTO cross_signing_keys (user_id, usage, public_key, key, uploaded_ms)
SELECT $1, given.usage, given.public_key, given.key, $5
FROM unnest($2::text[], $3::text[], $4::bytea[]) AS given(usage, public_key, key)
ON CONFLICT (user_id, usage) DO UPDATE
SET public_key = excluded.public_key, key = excluded.key, uploaded_ms = excluded.uploaded_ms
"""

# Serialises the uploads of one user: whether a key may be replaced depends on which are there.
LOCK_USER = "SELECT FROM users WHERE user_id = $1 FOR NO KEY UPDATE"

# Signatures made by a user-signing key mean nothing once that key is gone.
FORGET = """
WITH signatures AS (
    DELETE FROM cross_signing_signatures WHERE signer_user_id = $1 AND 'user_signing' = ANY($2::text[])
)
DELETE FROM cross_signing_keys WHERE user_id = $1 AND usage = ANY($2::text[])
"""

# Of users of other servers: what their servers told, in place of what was there.
REPLACE_ALL = """
WITH given AS (
    SELECT * FROM unnest($2::text[], $3::text[], $4::text[], $5::bytea[]) AS g(user_id, usage, public_key, key)
), gone AS (
    DELETE FROM cross_signing_keys k WHERE k.user_id = ANY($1::text[])
      AND NOT EXISTS (SELECT FROM given g WHERE g.user_id = k.user_id AND g.usage = k.usage)
)
INSERT INTO cross_signing_keys (user_id, usage, public_key, key, uploaded_ms)
SELECT g.user_id, g.usage, g.public_key, g.key, $6 FROM given g
ON CONFLICT (user_id, usage) DO UPDATE
SET public_key = excluded.public_key, key = excluded.key, uploaded_ms = excluded.uploaded_ms
"""

# Of users of other servers who are in no room with us any more.
FORGET_STRANGERS = """
DELETE FROM cross_signing_keys k
WHERE k.uploaded_ms < $1
  AND NOT EXISTS (SELECT FROM users u WHERE u.user_id = k.user_id)
  AND NOT EXISTS (SELECT FROM memberships m WHERE m.user_id = k.user_id AND m.membership = 'join')
"""

# Compared with what the caller saw, as in DeviceKeys.replace.
REPLACE = "UPDATE cross_signing_keys SET key = $4 WHERE user_id = $1 AND usage = $2 AND key = $3"

ADD_SIGNATURES = """
INSERT INTO cross_signing_signatures (signer_user_id, target_user_id, target_public_key, signing_key_id, signature)
SELECT $1, * FROM unnest($2::text[], $3::text[], $4::text[], $5::text[])
ON CONFLICT (signer_user_id, target_user_id, target_public_key, signing_key_id)
DO UPDATE SET signature = excluded.signature
"""

SIGNATURES_BY = """
SELECT target_user_id, target_public_key, signing_key_id, signature
FROM cross_signing_signatures WHERE signer_user_id = $1 AND target_user_id = ANY($2::text[])
"""


@dataclass(frozen=True, slots=True)
class CrossSigningKey:
    """One of a user's three keys. `key`: canonical JSON with the signatures everybody may see."""

    user_id: str
    usage: Usage
    public_key: str
    key: bytes


@dataclass(frozen=True, slots=True)
class UserSignature:
    """A user-signing key's signature of another user's master key. `signing_key_id`: with the algorithm, `ed25519:…`."""

    target_user_id: str
    target_public_key: str
    signing_key_id: str
    signature: str


class CrossSigningKeys:
    """Statements over the cross-signing tables."""

    async def lock_user(self, tx: Queries, user_id: str) -> None:
        """Let one request of a user at a time change his keys."""
        await tx.execute(LOCK_USER, user_id)

    async def of_users(self, q: Queries, user_ids: Sequence[str]) -> list[CrossSigningKey]:
        """All keys of these users, including user-signing keys, which only their owners may see."""
        return [CrossSigningKey(*row) for row in await q.fetch(OF_USERS, list(user_ids))]

    async def store(self, q: Queries, user_id: str, keys: Sequence[CrossSigningKey], now_ms: int) -> None:
        """Store or replace keys of one user."""
        usages = [key.usage for key in keys]
        await q.execute(STORE, user_id, usages, [key.public_key for key in keys], [key.key for key in keys], now_ms)

    async def replace_all(
        self, q: Queries, user_ids: Sequence[str], keys: Sequence[CrossSigningKey], now_ms: int
    ) -> None:
        """Let these users of other servers have exactly these keys."""
        await q.execute(
            REPLACE_ALL,
            list(user_ids),
            [key.user_id for key in keys],
            [key.usage for key in keys],
            [key.public_key for key in keys],
            [key.key for key in keys],
            now_ms,
        )

    async def forget(self, q: Queries, user_id: str, usages: Sequence[Usage]) -> None:
        """Delete keys of one user, and what a deleted user-signing key signed."""
        await q.execute(FORGET, user_id, list(usages))

    async def forget_strangers(self, q: Queries, before_ms: int) -> None:
        """Housekeeping: keys from before then of users of other servers who share no room with anybody here."""
        await q.execute(FORGET_STRANGERS, before_ms)

    async def replace(self, q: Queries, user_id: str, usage: Usage, before: bytes, after: bytes) -> bool:
        """Put new bytes in place of known old ones; False if the key has changed in between."""
        return await q.execute(REPLACE, user_id, usage, before, after) == "UPDATE 1"

    async def add_signatures(self, q: Queries, signer: str, signatures: Sequence[UserSignature]) -> None:
        """Store what the signer's user-signing key signed."""
        await q.execute(
            ADD_SIGNATURES,
            signer,
            [signature.target_user_id for signature in signatures],
            [signature.target_public_key for signature in signatures],
            [signature.signing_key_id for signature in signatures],
            [signature.signature for signature in signatures],
        )

    async def signatures_by(self, q: Queries, signer: str, target_user_ids: Sequence[str]) -> list[UserSignature]:
        """What the signer signed of these users."""
        return [UserSignature(*row) for row in await q.fetch(SIGNATURES_BY, signer, list(target_user_ids))]

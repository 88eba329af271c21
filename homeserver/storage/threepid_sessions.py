"""Table `threepid_sessions`: proofs that somebody owns an address, under way or done."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from homeserver.storage.database import Queries

# An attempt that is not newer than the last one does nothing. A session that has expired begins anew, with a new id. One that
# is validated ends when it would have ended: another mail keeps no proof for later.
BEGIN = """
INSERT INTO threepid_sessions AS s
    (session_id, secret_hash, purpose, medium, address, send_attempt, token_hashes, next_link, expires_ms)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
ON CONFLICT (secret_hash, medium, address, purpose) DO UPDATE SET
    session_id = CASE WHEN s.expires_ms > $10 THEN s.session_id ELSE excluded.session_id END,
    validated_ms = CASE WHEN s.expires_ms > $10 THEN s.validated_ms END,
    token_hashes = CASE WHEN s.expires_ms > $10 THEN (excluded.token_hashes || s.token_hashes)[1:$11]
                        ELSE excluded.token_hashes END,
    expires_ms = CASE WHEN s.validated_ms IS NOT NULL AND s.expires_ms > $10 THEN s.expires_ms
                      ELSE excluded.expires_ms END,
    send_attempt = excluded.send_attempt, next_link = excluded.next_link
    WHERE s.send_attempt < excluded.send_attempt OR s.expires_ms <= $10
RETURNING session_id
"""

FIND = (
    "SELECT session_id FROM threepid_sessions WHERE secret_hash = $1 AND medium = $2 AND address = $3 AND purpose = $4"
)

BY_TOKEN = """
SELECT purpose, address, next_link FROM threepid_sessions
WHERE session_id = $1 AND $2 = ANY(token_hashes) AND expires_ms > $3
"""

VALIDATE = """
UPDATE threepid_sessions SET validated_ms = coalesce(validated_ms, $3), expires_ms = greatest(expires_ms, $4)
WHERE session_id = $1 AND $2 = ANY(token_hashes) AND expires_ms > $3
RETURNING purpose, address, next_link
"""

GET = """
SELECT session_id, secret_hash, purpose, medium, address, validated_ms FROM threepid_sessions
WHERE session_id = $1 AND expires_ms > $2
"""

USE = """
DELETE FROM threepid_sessions WHERE session_id = $1 AND validated_ms IS NOT NULL AND expires_ms > $2
RETURNING session_id, secret_hash, purpose, medium, address, validated_ms
"""

# Few rows: they live for an hour or two, and each has cost a mail.
FORGET_OF_USER = """
DELETE FROM threepid_sessions s USING user_threepids t
WHERE t.user_id = $1 AND s.medium = t.medium AND s.address = t.address AND s.purpose = $2
"""

FORGET_EXPIRED = "DELETE FROM threepid_sessions WHERE expires_ms <= $1"

# Tokens of so many mails work: whoever asks twice may open the first mail that comes.
MAX_TOKENS = 5


@dataclass(frozen=True, slots=True)
class NewProof:
    """What is known when a client asks for a proof. `token_hash` None: no mail can complete it."""

    session_id: str
    secret_hash: bytes
    purpose: str
    medium: str
    address: str
    send_attempt: int
    token_hash: bytes | None
    next_link: str | None
    expires_ms: int


@dataclass(frozen=True, slots=True)
class Proof:
    """A session as it stands; `validated_ms` None until the link was used."""

    session_id: str
    secret_hash: bytes
    purpose: str
    medium: str
    address: str
    validated_ms: int | None


@dataclass(frozen=True, slots=True)
class Link:
    """What belongs to the link of a mail."""

    purpose: str
    address: str
    next_link: str | None


class ThreepidSessionRows:
    """Queries over proofs."""

    async def begin(self, q: Queries, proof: NewProof, now_ms: int) -> str | None:
        """The id of the session, new or going on; None where this attempt was made already."""
        session_id: str | None = await q.fetchval(
            BEGIN,
            proof.session_id,
            proof.secret_hash,
            proof.purpose,
            proof.medium,
            proof.address,
            proof.send_attempt,
            [proof.token_hash] if proof.token_hash is not None else [],
            proof.next_link,
            proof.expires_ms,
            now_ms,
            MAX_TOKENS,
        )
        return session_id

    async def find(self, q: Queries, proof: NewProof) -> str | None:
        """The id of the session of the same client for the same address."""
        session_id: str | None = await q.fetchval(
            FIND, proof.secret_hash, proof.medium, proof.address, proof.purpose
        )  # fmt: skip
        return session_id

    async def by_token(self, q: Queries, session_id: str, token_hash: bytes, now_ms: int) -> Link | None:
        """What a link is for; None for one that does not work (any more)."""
        row = await q.fetchrow(BY_TOKEN, session_id, token_hash, now_ms)
        return Link(*row) if row else None

    async def validate(
        self, q: Queries, session_id: str, token_hash: bytes, now_ms: int, expires_ms: int
    ) -> Link | None:  # fmt: skip
        """The link was used; None for one that does not work (any more)."""
        row = await q.fetchrow(VALIDATE, session_id, token_hash, now_ms, expires_ms)
        return Link(*row) if row else None

    async def get(self, q: Queries, session_id: str, now_ms: int) -> Proof | None:
        """The session, unless it has expired."""
        row = await q.fetchrow(GET, session_id, now_ms)
        return Proof(*row) if row else None

    async def use(self, q: Queries, session_id: str, now_ms: int) -> Proof | None:
        """End a session that was validated, and say what it proved; None where there is none."""
        row = await q.fetchrow(USE, session_id, now_ms)
        return Proof(*row) if row else None

    async def forget_of_user(self, q: Queries, user_id: str, purpose: str) -> None:
        """What is under way for one purpose with addresses of this account."""
        await q.execute(FORGET_OF_USER, user_id, purpose)

    async def forget_expired(self, q: Queries, now_ms: int) -> None:
        """Housekeeping."""
        await q.execute(FORGET_EXPIRED, now_ms)

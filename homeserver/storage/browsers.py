"""Browsers, by the SHA-256 of their cookies, and what they came for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import orjson

if TYPE_CHECKING:
    from homeserver.storage.database import Queries

# Whose account is locked or has ended is signed in nowhere.
FIND = """
SELECT b.browser_id, u.user_id, CASE WHEN u.user_id IS NULL THEN '{}' ELSE b.methods END,
       CASE WHEN u.user_id IS NOT NULL THEN b.signed_in_ms END
FROM browsers b
LEFT JOIN users u ON u.user_id = b.user_id AND u.deactivated_ms IS NULL AND u.locked_ms IS NULL
WHERE b.token_hash = $1 AND b.expires_ms > $2
"""

ADD = "INSERT INTO browsers (token_hash, expires_ms) VALUES ($1, $2) RETURNING browser_id"

SIGN_IN = """
UPDATE browsers SET token_hash = $2, user_id = $3, methods = $4, signed_in_ms = $5, expires_ms = $6
WHERE browser_id = $1 RETURNING true
"""

END = "DELETE FROM browsers WHERE browser_id = $1"

END_OF_USER = "DELETE FROM browsers WHERE user_id = $1"

END_OTHERS = "DELETE FROM browsers WHERE user_id = $1 AND browser_id <> $2"

FORGET_EXPIRED = """
WITH pendings AS (DELETE FROM browser_pendings WHERE expires_ms <= $1)
DELETE FROM browsers WHERE expires_ms <= $1
"""

ADD_PENDING = """
WITH crowded AS (
    DELETE FROM browser_pendings WHERE pending_id IN (
        SELECT pending_id FROM browser_pendings WHERE browser_id = $2 ORDER BY expires_ms DESC OFFSET $7
    )
)
INSERT INTO browser_pendings (pending_id, browser_id, kind, memory, fresh_since_ms, expires_ms)
VALUES ($1, $2, $3, $4::jsonb, $5, $6)
"""

GET_PENDING = """
SELECT pending_id, browser_id, kind, memory, fresh_since_ms, half FROM browser_pendings
WHERE pending_id = $1 AND browser_id = $2 AND expires_ms > $3
"""

SET_HALF = "UPDATE browser_pendings SET half = $2::jsonb WHERE pending_id = $1"

FINISH = "DELETE FROM browser_pendings WHERE pending_id = $1 RETURNING true"


@dataclass(frozen=True, slots=True)
class StoredBrowser:
    """A browser that is known. Without a user where nobody is signed in."""

    browser_id: int
    user_id: str | None
    methods: Sequence[str]
    signed_in_ms: int | None


@dataclass(frozen=True, slots=True)
class StoredPending:
    """What a browser came for."""

    pending_id: str
    browser_id: int
    kind: str
    memory: Mapping[str, Any]
    fresh_since_ms: int
    half: Mapping[str, Any] | None


class BrowserRows:
    """Queries over browsers."""

    async def find(self, q: Queries, token_hash: bytes, now_ms: int) -> StoredBrowser | None:
        """The browser with this cookie; nobody is signed in in it where his account is locked or has ended."""
        row = await q.fetchrow(FIND, token_hash, now_ms)
        return StoredBrowser(*row) if row else None

    async def add(self, q: Queries, token_hash: bytes, expires_ms: int) -> int:
        """A browser that has not been here. Returns its number."""
        browser_id: int = await q.fetchval(ADD, token_hash, expires_ms)
        return browser_id

    async def sign_in(
        self,
        q: Queries,
        browser_id: int,
        token_hash: bytes,
        user_id: str,
        methods: Sequence[str],
        now_ms: int,
        expires_ms: int,
    ) -> bool:
        """Somebody is signed in, and the browser has another cookie. False where the browser is gone."""
        row = await q.fetchval(SIGN_IN, browser_id, token_hash, user_id, list(methods), now_ms, expires_ms)
        return bool(row)

    async def end(self, q: Queries, browser_id: int) -> None:
        """This browser is a stranger again."""
        await q.execute(END, browser_id)

    async def end_of_user(self, q: Queries, user_id: str) -> None:
        """All browsers in which the user is signed in."""
        await q.execute(END_OF_USER, user_id)

    async def end_others(self, q: Queries, user_id: str, browser_id: int) -> None:
        """All browsers of the user but this one."""
        await q.execute(END_OTHERS, user_id, browser_id)

    async def add_pending(self, q: Queries, pending: StoredPending, expires_ms: int, kept: int) -> None:
        """Beyond `kept` others of this browser, the oldest are forgotten."""
        await q.execute(
            ADD_PENDING,
            pending.pending_id,
            pending.browser_id,
            pending.kind,
            orjson.dumps(pending.memory).decode(),
            pending.fresh_since_ms,
            expires_ms,
            kept,
        )

    async def pending(self, q: Queries, pending_id: str, browser_id: int, now_ms: int) -> StoredPending | None:
        """None where it is another browser's, or too old."""
        row = await q.fetchrow(GET_PENDING, pending_id, browser_id, now_ms)
        if row is None:
            return None
        half = None if row[5] is None else orjson.loads(row[5])
        return StoredPending(row[0], row[1], row[2], orjson.loads(row[3]), row[4], half)

    async def set_half(self, q: Queries, pending_id: str, half: Mapping[str, Any] | None) -> None:
        """Who has proved a first factor."""
        await q.execute(SET_HALF, pending_id, None if half is None else orjson.dumps(half).decode())

    async def finish(self, q: Queries, pending_id: str) -> bool:
        """It is done. False where it was done before."""
        return bool(await q.fetchval(FINISH, pending_id))

    async def forget_expired(self, q: Queries, now_ms: int) -> None:
        """Housekeeping."""
        await q.execute(FORGET_EXPIRED, now_ms)

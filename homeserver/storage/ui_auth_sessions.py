"""Sessions of user-interactive authentication that need more than one request."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import orjson

if TYPE_CHECKING:
    from homeserver.storage.database import Queries

GET = "SELECT session_id, operation, completed, memory FROM ui_auth_sessions WHERE session_id = $1 AND expires_ms > $2"

ADD = """
INSERT INTO ui_auth_sessions (session_id, operation, completed, memory, expires_ms) VALUES ($1, $2, $3::jsonb, $4, $5)
"""

# Merged, not replaced: two stages may be finished at the same time (one of them in a browser).
COMPLETE = "UPDATE ui_auth_sessions SET completed = completed || $2::jsonb WHERE session_id = $1"

REMEMBER = "UPDATE ui_auth_sessions SET memory = $2 WHERE session_id = $1"

LOCK_MEMORY = "SELECT memory FROM ui_auth_sessions WHERE session_id = $1 FOR UPDATE"

DELETE = "DELETE FROM ui_auth_sessions WHERE session_id = $1 RETURNING true"

FORGET_EXPIRED = "DELETE FROM ui_auth_sessions WHERE expires_ms <= $1"


@dataclass(slots=True)
class UiAuthSession:
    """What has been proved so far (stage -> what it proved), for which operation, and what the server remembers of it."""

    session_id: str
    operation: str
    completed: dict[str, str] = field(default_factory=dict)
    memory: dict[str, Any] = field(default_factory=dict)


class UiAuthSessionRows:
    """Queries over sessions."""

    async def get(self, q: Queries, session_id: str, now_ms: int) -> UiAuthSession | None:
        """The session, unless it has expired."""
        row = await q.fetchrow(GET, session_id, now_ms)
        if row is None:
            return None
        return UiAuthSession(row[0], row[1], orjson.loads(row[2]), orjson.loads(row[3]))

    async def add(self, q: Queries, session: UiAuthSession, expires_ms: int) -> None:
        """Store a session that was not finished by its first request."""
        completed = orjson.dumps(session.completed).decode()
        await q.execute(ADD, session.session_id, session.operation, completed, orjson.dumps(session.memory), expires_ms)

    async def complete(self, q: Queries, session_id: str, stages: Mapping[str, str]) -> None:
        """Add finished stages."""
        await q.execute(COMPLETE, session_id, orjson.dumps(dict(stages)).decode())

    async def remember(self, q: Queries, session_id: str, memory: Mapping[str, Any]) -> None:
        """Replace what the server remembers."""
        await q.execute(REMEMBER, session_id, orjson.dumps(dict(memory)))

    async def lock_memory(self, q: Queries, session_id: str) -> dict[str, Any] | None:
        """What the server remembers, held against others until the transaction ends; None where the session is gone."""
        memory = await q.fetchval(LOCK_MEMORY, session_id)
        return None if memory is None else orjson.loads(memory)

    async def delete(self, q: Queries, session_id: str) -> bool:
        """End the session; False where it is gone already."""
        return bool(await q.fetchval(DELETE, session_id))

    async def forget_expired(self, q: Queries, now_ms: int) -> None:
        """Housekeeping."""
        await q.execute(FORGET_EXPIRED, now_ms)

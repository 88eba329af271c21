"""Table `status_messages`: what people wrote about themselves; the rest of presence is not stored."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from homeserver.storage.database import Queries

ALL = "SELECT user_id, status_msg FROM status_messages"

PUT = """
INSERT INTO status_messages (user_id, status_msg) VALUES ($1, $2)
ON CONFLICT (user_id) DO UPDATE SET status_msg = excluded.status_msg
"""

DELETE = "DELETE FROM status_messages WHERE user_id = $1"


class StatusMessageRows:
    """Statements over status_messages."""

    async def everybody(self, q: Queries) -> dict[str, str]:
        """All status messages by user."""
        return {row[0]: row[1] for row in await q.fetch(ALL)}

    async def put(self, q: Queries, user_id: str, status_msg: str | None) -> None:
        """Set or take away a status message."""
        if status_msg is None:
            await q.execute(DELETE, user_id)
        else:
            await q.execute(PUT, user_id, status_msg)

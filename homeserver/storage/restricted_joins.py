"""Who is where, as the conditions of restricted rooms ask it of users of other servers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from homeserver.storage.database import Queries

# A room that nobody of this server is in any more is one whose members are not known: its rows may be old.
SEEN = """
SELECT r.room_id, EXISTS (
    SELECT FROM memberships m WHERE m.room_nid = r.room_nid AND m.user_id = $1 AND m.membership = 'join'
)
FROM rooms r
WHERE r.room_id = ANY($2::text[]) AND EXISTS (
    SELECT FROM memberships ours JOIN users USING (user_id)
    WHERE ours.room_nid = r.room_nid AND ours.membership = 'join'
)
"""


@dataclass(frozen=True, slots=True)
class RestrictedJoinRows:
    """One query."""

    async def seen(self, q: Queries, user_id: str, room_ids: Sequence[str]) -> dict[str, bool]:
        """Of these rooms those that this server is in, and whether the user has joined each."""
        return {row[0]: row[1] for row in await q.fetch(SEEN, user_id, list(room_ids))}

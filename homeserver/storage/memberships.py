"""Table `memberships`: the current membership of each user in each room, by user and by room."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from sys import intern
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from homeserver.storage.database import Queries

OF_USER = """
SELECT r.room_id, m.room_nid, m.membership, m.event_nid, m.sender, m.forgotten, m.position, s.user_id IS NOT NULL
FROM memberships m JOIN rooms r USING (room_nid)
LEFT JOIN stripped_states s ON s.user_id = m.user_id AND s.room_nid = m.room_nid
WHERE m.user_id = $1
"""

OF_USERS = """
SELECT m.user_id, r.room_id, m.room_nid, m.membership, m.event_nid, m.sender, m.forgotten, m.position, s.user_id IS NOT NULL
FROM memberships m JOIN rooms r USING (room_nid)
LEFT JOIN stripped_states s ON s.user_id = m.user_id AND s.room_nid = m.room_nid
WHERE m.user_id = ANY($1::text[])
"""

SHARING_AMONG = """
SELECT DISTINCT theirs.user_id
FROM memberships mine JOIN memberships theirs USING (room_nid)
WHERE mine.user_id = $1 AND mine.membership = 'join'
  AND theirs.user_id = ANY($2::text[]) AND theirs.membership = 'join'
"""

JOINED_ANYWHERE = """
SELECT DISTINCT user_id FROM memberships WHERE user_id = ANY($1::text[]) AND membership = 'join'
"""

ROOMS_OF = """
SELECT DISTINCT r.room_id FROM memberships m JOIN rooms r USING (room_nid)
WHERE m.user_id = ANY($1::text[]) AND m.membership = 'join'
"""

# Guests among the joined members; only this server's users are in `users`.
GUESTS_IN_ROOM = """
SELECT m.user_id FROM memberships m JOIN users u USING (user_id)
WHERE m.room_nid = $1 AND m.membership = 'join' AND u.is_guest ORDER BY m.user_id
"""

FORGET = "UPDATE memberships SET forgotten = true WHERE user_id = $1 AND room_nid = $2"


@dataclass(frozen=True, slots=True)
class Membership:
    """What a user is in a room, by which event."""

    room_id: str
    room_nid: int
    membership: str
    event_nid: int
    sender: str
    forgotten: bool
    position: int
    """Where in the stream it came into force: what tokens are compared with."""
    outside: bool = False
    """An invite or knock of a room that this server is not in; `stripped_states` has what is known of it."""


def _membership(room_id: str, room_nid: int, membership: str, event_nid: int, sender: str, *rest: Any) -> Membership:
    """Kept for long, and for many users: each text is in memory once."""
    return Membership(intern(room_id), room_nid, intern(membership), event_nid, intern(sender), *rest)


class Memberships:
    """Queries over memberships; rows are written by the event writer's statement."""

    async def of_user(self, q: Queries, user_id: str) -> dict[str, Membership]:
        """All memberships of a user, by room id."""
        found = [_membership(*row) for row in await q.fetch(OF_USER, user_id)]
        return {membership.room_id: membership for membership in found}

    async def of_users(self, q: Queries, user_ids: Sequence[str]) -> dict[str, dict[str, Membership]]:
        """The same of many users, by user; of those without any, nothing."""
        found: dict[str, dict[str, Membership]] = {user_id: {} for user_id in user_ids}
        for user_id, *row in await q.fetch(OF_USERS, user_ids):
            membership = _membership(*row)
            found[user_id][membership.room_id] = membership
        return found

    async def sharing_among(self, q: Queries, user_id: str, candidates: Sequence[str]) -> set[str]:
        """Those of the candidates who share a joined room with the user."""
        return {row[0] for row in await q.fetch(SHARING_AMONG, user_id, candidates)}

    async def joined_anywhere(self, q: Queries, user_ids: Sequence[str]) -> set[str]:
        """Those of the users who have joined a room."""
        return {row[0] for row in await q.fetch(JOINED_ANYWHERE, user_ids)}

    async def rooms_of(self, q: Queries, user_ids: Sequence[str]) -> set[str]:
        """Ids of the rooms that any of these users has joined."""
        return {row[0] for row in await q.fetch(ROOMS_OF, user_ids)}

    async def guests_in_room(self, q: Queries, room_nid: int) -> list[str]:
        """Local guests who have joined the room."""
        return [row[0] for row in await q.fetch(GUESTS_IN_ROOM, room_nid)]

    async def forget(self, q: Queries, user_id: str, room_nid: int) -> None:
        """Mark a left room as forgotten; a later membership event un-forgets it."""
        await q.execute(FORGET, user_id, room_nid)

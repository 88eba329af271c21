"""Table `mailed_rooms`, and what mail about unread messages is made of."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import orjson

if TYPE_CHECKING:
    from homeserver.storage.database import Queries

# `read`: whether its reader has read up to what he was told of, in the room or in the main timeline.
OF_PUSHER = """
SELECT m.room_nid, m.position, m.mailed_ms, m.pause_ms, EXISTS (
    SELECT FROM read_positions r
    WHERE r.user_id = $2 AND r.room_nid = m.room_nid AND r.thread_id IN ('', 'main') AND r.position >= m.position
)
FROM mailed_rooms m WHERE m.pusher_nid = $1
"""

# Rooms that its user has left are forgotten with that: else there would be more for ever of whoever is invited by everybody.
PUT = """
WITH gone AS (
    DELETE FROM mailed_rooms m USING pushers p
    WHERE m.pusher_nid = $1 AND p.pusher_nid = $1 AND m.room_nid <> ALL($3) AND NOT EXISTS (
        SELECT FROM memberships s
        WHERE s.user_id = p.user_id AND s.room_nid = m.room_nid AND s.membership IN ('join', 'invite')
    )
)
INSERT INTO mailed_rooms (pusher_nid, room_nid, position, mailed_ms, pause_ms)
SELECT p.pusher_nid, t.room_nid, t.position, $2, t.pause_ms
FROM pushers p, unnest($3::int[], $4::bigint[], $5::bigint[]) AS t(room_nid, position, pause_ms)
WHERE p.pusher_nid = $1
ON CONFLICT (pusher_nid, room_nid) DO UPDATE
SET position = excluded.position, mailed_ms = excluded.mailed_ms, pause_ms = excluded.pause_ms
"""

# Those of $2 who have joined or are invited to one of the rooms $1.
READERS = """
SELECT DISTINCT m.user_id FROM memberships m JOIN rooms r USING (room_nid)
WHERE r.room_id = ANY($1::text[]) AND m.user_id = ANY($2::text[]) AND m.membership IN ('join', 'invite')
"""

# Name, alias, and the members $2 of rooms.
NAMES = """
SELECT s.room_nid, s.type, s.state_key, e.body FROM current_state s JOIN events e USING (event_nid)
WHERE s.room_nid = ANY($1::int[])
  AND (s.type IN ('m.room.name', 'm.room.canonical_alias') AND s.state_key = ''
       OR s.type = 'm.room.member' AND s.state_key = ANY($2::text[]))
"""


@dataclass(frozen=True, slots=True)
class MailedRoom:
    """What was told of a room. `position`: up to here; `read`: whether it was read since; `pause_ms`: silent so long then."""

    room_nid: int
    position: int
    mailed_ms: int
    pause_ms: int
    read: bool = False


class MailedRoomRows:
    """Statements of e-mail pushers."""

    async def of_pusher(self, q: Queries, pusher_nid: int, user_id: str) -> dict[int, MailedRoom]:
        """What its user has been told, by room."""
        return {row[0]: MailedRoom(*row) for row in await q.fetch(OF_PUSHER, pusher_nid, user_id)}

    async def put(self, q: Queries, pusher_nid: int, now_ms: int, rooms: Sequence[MailedRoom]) -> None:
        """Remember what was told."""
        await q.execute(
            PUT, pusher_nid, now_ms, [each.room_nid for each in rooms], [each.position for each in rooms],
            [each.pause_ms for each in rooms],
        )  # fmt: skip

    async def readers(self, q: Queries, room_ids: Collection[str], user_ids: Collection[str]) -> set[str]:
        """Those of the users who are in one of the rooms, or invited to it."""
        return {row[0] for row in await q.fetch(READERS, list(room_ids), list(user_ids))}

    async def names(
        self, q: Queries, room_nids: Collection[int], members: Collection[str]
    ) -> dict[tuple[int, str, str], dict[str, object]]:
        """Contents of the rooms' name and alias and of these members, by room, type and state key."""
        rows = await q.fetch(NAMES, list(room_nids), list(members))
        return {(row[0], row[1], row[2]): orjson.loads(row[3])["content"] for row in rows}

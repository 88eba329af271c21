"""Table `stripped_states`, and what belongs to it: memberships of rooms that this server is not in.

The membership event is an outlier; the room has a row, but nothing in its timeline (of now, where we were there before).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from homeserver.storage.database import Queries

# $3: the number that the event gets, and the position of the membership. A known event keeps its number.
STORE = """
WITH event AS (
    INSERT INTO events (event_nid, room_nid, depth, origin_server_ts, flags, event_id, type, state_key, sender, body,
                        envelope)
    VALUES ($3, $1, $4, $5, $6, $7, $8, $2, $9, $10, $11)
    ON CONFLICT (event_id) DO UPDATE SET room_nid = events.room_nid
    RETURNING event_nid, position, room_nid
),
outlier AS (
    -- One that is in the room's timeline, or another room's, is no news from outside.
    SELECT event_nid FROM event WHERE position IS NULL AND room_nid = $1
),
changed AS (
    INSERT INTO state_changes (room_nid, type, state_key, position, event_nid)
    SELECT $1, $8, $2, $3, event_nid FROM outlier
),
member AS (
    INSERT INTO memberships (user_id, room_nid, membership, event_nid, position, sender)
    SELECT $2, $1, $12, event_nid, $3, $9 FROM outlier
    ON CONFLICT (user_id, room_nid) DO UPDATE
    SET membership = excluded.membership, event_nid = excluded.event_nid, position = excluded.position,
        sender = excluded.sender, forgotten = false
),
state AS (
    INSERT INTO stripped_states (user_id, room_nid, state)
    SELECT $2, $1, $13::bytea FROM outlier WHERE $13::bytea IS NOT NULL
    ON CONFLICT (user_id, room_nid) DO UPDATE SET state = excluded.state
),
gone AS (
    DELETE FROM stripped_states WHERE user_id = $2 AND room_nid = $1 AND $13::bytea IS NULL
)
SELECT event_nid FROM outlier
"""

FORGET = """
WITH room AS (SELECT room_nid FROM rooms WHERE room_id = $2),
state AS (
    DELETE FROM stripped_states s USING room r WHERE s.user_id = $1 AND s.room_nid = r.room_nid RETURNING s.room_nid
)
DELETE FROM memberships m USING state s WHERE m.user_id = $1 AND m.room_nid = s.room_nid
"""

OF_USER = "SELECT room_nid, state FROM stripped_states WHERE user_id = $1 AND room_nid = ANY($2::int[])"


@dataclass(frozen=True, slots=True)
class OutsideRow:
    """A membership of a room that this server is not in.

    `state`: a list of stripped events, JSON as it came (jsonb would not take what events may have); None: he is out.
    """

    room_nid: int
    user_id: str
    number: int
    depth: int
    origin_server_ts: int
    flags: int
    event_id: str
    type: str
    sender: str
    body: bytes
    envelope: bytes
    membership: str
    state: bytes | None


class StrippedStates:
    """What users are told of rooms that they are invited to, or knock on."""

    async def store(self, q: Queries, row: OutsideRow) -> int | None:
        """The number of the event; None where it is known otherwise than as an outlier of the room: nothing was done."""
        number = await q.fetchval(
            STORE, row.room_nid, row.user_id, row.number, row.depth, row.origin_server_ts, row.flags, row.event_id,
            row.type, row.sender, row.body, row.envelope, row.membership, row.state,
        )  # fmt: skip
        return None if number is None else int(number)

    async def forget(self, q: Queries, user_id: str, room_id: str) -> None:
        """The user is nothing to the room any more, and there is no event that says so."""
        await q.execute(FORGET, user_id, room_id)

    async def of_user(self, q: Queries, user_id: str, room_nids: Sequence[int]) -> dict[int, bytes]:
        """Lists of stripped events, JSON, by room."""
        return {row[0]: row[1] for row in await q.fetch(OF_USER, user_id, room_nids)}

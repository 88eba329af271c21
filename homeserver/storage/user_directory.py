"""Tables `directory_users` and `directory_rooms`: who can be found by name, made from memberships and profiles."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from homeserver.storage.columns import SERVER_OF

if TYPE_CHECKING:
    from homeserver.storage.database import Queries

PROGRESS = "SELECT directory FROM search_progress"
MOVE = "UPDATE search_progress SET directory = greatest(directory, $1)"

# $1: behind which number; $2: how many.
ROOM_IDS = "SELECT room_nid, room_id FROM rooms WHERE room_nid > $1 ORDER BY room_nid LIMIT $2"

# $1, $2: positions; $3: rooms by id.
CHANGED = """
SELECT DISTINCT c.room_nid, c.type, c.state_key
FROM rooms r JOIN state_changes c ON c.room_nid = r.room_nid AND c.position > $1 AND c.position <= $2
WHERE r.room_id = ANY($3::text[])
  AND c.type IN ('m.room.member', 'm.room.join_rules', 'm.room.history_visibility')
"""

# $2: our name. A room that nobody of ours is in any more is known as it was when the last one left.
ROOMS = f"""
SELECT wanted.room_nid, rules.body, visibility.body,
    EXISTS (
        SELECT FROM memberships m
        WHERE m.room_nid = wanted.room_nid AND m.membership = 'join' AND {SERVER_OF.format("m.user_id")} = $2
    )
FROM unnest($1::int[]) AS wanted(room_nid)
LEFT JOIN current_state rs ON rs.room_nid = wanted.room_nid AND rs.type = 'm.room.join_rules' AND rs.state_key = ''
LEFT JOIN events rules ON rules.event_nid = rs.event_nid
LEFT JOIN current_state vs ON vs.room_nid = wanted.room_nid AND vs.type = 'm.room.history_visibility' AND vs.state_key = ''
LEFT JOIN events visibility ON visibility.event_nid = vs.event_nid
"""
PUT_ROOMS = """
WITH gone AS (DELETE FROM directory_rooms WHERE room_nid = ANY($2::int[]))
INSERT INTO directory_rooms (room_nid) SELECT unnest($1::int[]) ON CONFLICT DO NOTHING
"""

# Of users of other servers one membership event, of a room that everybody may look into where there is one: what somebody
# is called among friends is not for all.
USERS = """
SELECT wanted.user_id, u.user_id IS NOT NULL, u.deactivated_ms IS NOT NULL OR u.is_guest, p.displayname, p.avatar_url, m.body
FROM unnest($1::text[]) AS wanted(user_id)
LEFT JOIN users u USING (user_id) LEFT JOIN profiles p USING (user_id)
LEFT JOIN LATERAL (
    SELECT e.body FROM memberships m JOIN events e USING (event_nid) LEFT JOIN directory_rooms d ON d.room_nid = m.room_nid
    WHERE u.user_id IS NULL AND m.user_id = wanted.user_id AND m.membership = 'join'
    ORDER BY d.room_nid IS NULL, m.position DESC LIMIT 1
) m ON true
"""
# $1 to $5: rows; $6: who is to be found no more.
PUT_USERS = """
WITH gone AS (DELETE FROM directory_users WHERE user_id = ANY($6::text[]))
INSERT INTO directory_users AS d (user_id, displayname, avatar_url, names, grams)
SELECT user_id, displayname, avatar_url, names, string_to_array(grams, ' ')
FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[]) AS n(user_id, displayname, avatar_url, names, grams)
ON CONFLICT (user_id) DO UPDATE
SET displayname = excluded.displayname, avatar_url = excluded.avatar_url, names = excluded.names, grams = excluded.grams
WHERE (d.displayname, d.avatar_url, d.names) IS DISTINCT FROM (excluded.displayname, excluded.avatar_url, excluded.names)
"""

MISSING = """
SELECT u.user_id FROM users u LEFT JOIN directory_users d USING (user_id)
WHERE d.user_id IS NULL AND u.deactivated_ms IS NULL AND NOT u.is_guest LIMIT $1
"""

# $1 what the index is asked for; $2 every text that has to be there, folded; $3 what servers' names begin with; $4 who asks;
# $5 whether all of ours are found; $6 the whole term, folded; $7 whom he does not want; $8 limit; $9 how many are looked at.
# Neither those who have the very words ($10), nor people of his own rooms, are to be missed where thousands have such a name.
# What somebody is a member of is asked for each by himself: all members of all rooms would be a hundred times as many.
MATES_ROOMS, MATES_OF_ROOM = 100, 100
SEARCH = f"""
WITH mine AS MATERIALIZED (
    SELECT room_nid FROM memberships WHERE user_id = $4 AND membership = 'join'
), mates AS MATERIALIZED (
    SELECT DISTINCT m.user_id FROM (SELECT room_nid FROM mine LIMIT {MATES_ROOMS}) r CROSS JOIN LATERAL (
        SELECT user_id FROM memberships WHERE room_nid = r.room_nid AND membership = 'join' LIMIT {MATES_OF_ROOM}
    ) m
), named AS MATERIALIZED (
    SELECT d.user_id, d.displayname, d.avatar_url, d.names FROM (
        (SELECT user_id, displayname, avatar_url, names FROM directory_users WHERE grams @> $10::text[] LIMIT $9)
        UNION
        (SELECT user_id, displayname, avatar_url, names FROM mates JOIN directory_users USING (user_id)
         WHERE grams @> $1::text[])
        UNION
        (SELECT user_id, displayname, avatar_url, names FROM directory_users WHERE grams @> $1::text[] LIMIT $9)
    ) d
    WHERE d.user_id <> ALL($7::text[])
      AND ($3 = '' OR starts_with({SERVER_OF.format("d.user_id")}, $3))
      AND NOT EXISTS (SELECT FROM unnest($2::text[]) AS wanted(text) WHERE position(wanted.text IN d.names) = 0)
), judged AS (
    SELECT n.*, u.user_id IS NOT NULL AS is_local, n.user_id <> $4 AND rooms.shared AS shares, rooms.is_open
    FROM named n LEFT JOIN users u USING (user_id)
    CROSS JOIN LATERAL (
        SELECT coalesce(bool_or(
                   (SELECT range_agg(int4range(room_nid, room_nid, '[]')) FROM mine) @> m.room_nid
               ), false) AS shared,
               coalesce(bool_or(d.room_nid IS NOT NULL), false) AS is_open
        FROM memberships m LEFT JOIN directory_rooms d USING (room_nid)
        WHERE m.user_id = n.user_id AND m.membership = 'join'
    ) rooms
    WHERE u.user_id IS NULL OR (u.deactivated_ms IS NULL AND NOT u.is_guest)
)
SELECT user_id, displayname, avatar_url FROM judged
WHERE shares OR is_open OR ($5 AND is_local)
ORDER BY
    (split_part(names, chr(10), 1) = $6 OR split_part(names, chr(10), 2) = $6) DESC,
    (starts_with(split_part(names, chr(10), 1), $6) OR starts_with(split_part(names, chr(10), 2), $6)) DESC,
    shares DESC, is_local DESC, displayname IS NULL, user_id
LIMIT $8
"""


@dataclass(frozen=True, slots=True)
class ChangedState:
    """A key of a room's state that matters to the directory."""

    room_nid: int
    type: str
    state_key: str


@dataclass(frozen=True, slots=True)
class RoomDoors:
    """Bodies of a room's join rules and history visibility; whether somebody of ours is in it."""

    room_nid: int
    join_rules: bytes | None
    visibility: bytes | None
    has_us: bool


@dataclass(frozen=True, slots=True)
class KnownUser:
    """`body`: of a membership event, for users of other servers. `hidden`: a guest, or deactivated."""

    user_id: str
    is_local: bool
    hidden: bool | None
    displayname: str | None
    avatar_url: str | None
    body: bytes | None


@dataclass(frozen=True, slots=True)
class DirectoryUser:
    """A row. `names`: folded, as the migration says; `grams`: of it, without spaces in them."""

    user_id: str
    displayname: str | None
    avatar_url: str | None
    names: str
    grams: Sequence[str]


@dataclass(frozen=True, slots=True)
class UserWish:
    """What somebody looks for: see SEARCH."""

    grams: Sequence[str]
    whole_words: Sequence[str]
    texts: Sequence[str]
    term: str
    server_begins: str
    asker: str
    everybody: bool
    unwanted: Sequence[str]
    limit: int
    look_at: int


class UserDirectoryRows:
    """Kept up to date behind the events, and searched."""

    async def progress(self, q: Queries) -> int:
        """Everything up to this position is in the directory."""
        return int(await q.fetchval(PROGRESS))

    async def move(self, q: Queries, position: int) -> None:
        """It has come this far."""
        await q.execute(MOVE, position)

    async def room_ids(self, q: Queries, after_nid: int, limit: int) -> list[tuple[int, str]]:
        """(number, id) of the next rooms behind that number."""
        return [(row[0], row[1]) for row in await q.fetch(ROOM_IDS, after_nid, limit)]

    async def changed(self, q: Queries, after: int, up_to: int, room_ids: Sequence[str]) -> list[ChangedState]:
        """What changed between two positions in these rooms."""
        return [ChangedState(*row) for row in await q.fetch(CHANGED, after, up_to, room_ids)]

    async def doors(self, q: Queries, room_nids: Sequence[int], us: str) -> list[RoomDoors]:
        """Of these rooms. `us`: the name of this server."""
        return [RoomDoors(*row) for row in await q.fetch(ROOMS, room_nids, us)]

    async def put_rooms(self, q: Queries, open_nids: Sequence[int], closed_nids: Sequence[int]) -> None:
        """Into some of these everybody may look, into others not any more."""
        await q.execute(PUT_ROOMS, open_nids, closed_nids)

    async def known(self, q: Queries, user_ids: Sequence[str]) -> list[KnownUser]:
        """What is known of these users."""
        return [KnownUser(*row) for row in await q.fetch(USERS, user_ids)]

    async def put_users(self, q: Queries, users: Sequence[DirectoryUser], gone: Sequence[str]) -> None:
        """Write rows, and take away others."""
        columns = [
            [each.user_id for each in users],
            [each.displayname for each in users],
            [each.avatar_url for each in users],
            [each.names for each in users],
            [" ".join(each.grams) for each in users],
        ]
        await q.execute(PUT_USERS, *columns, gone)

    async def missing(self, q: Queries, limit: int) -> list[str]:
        """Users of ours who are not in the directory: they were never in a room."""
        return [row[0] for row in await q.fetch(MISSING, limit)]

    async def search(self, q: Queries, wish: UserWish) -> list[tuple[str, str | None, str | None]]:
        """(user, display name, avatar), best first."""
        rows = await q.fetch(
            SEARCH, wish.grams, wish.texts, wish.server_begins, wish.asker, wish.everybody, wish.term, wish.unwanted,
            wish.limit, wish.look_at, wish.whole_words,
        )  # fmt: skip
        return [(row[0], row[1], row[2]) for row in rows]

"""Tables `destinations` and `outbound_progress`: which other servers are behind, and how far."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from homeserver.storage.database import Queries

SERVER = "substr({0}.user_id, strpos({0}.user_id, ':') + 1)"
"""The server of a user, as the index `memberships_server` has it."""

PROGRESS = "SELECT sent_position, lists_position FROM outbound_progress"

BEHIND = "SELECT destination, sent_position, lists_position, receipts_position, since_ms FROM destinations"

# $1 who has caught up; $2 to $6 who is behind, as parallel arrays; $7 and $8 the positions of everybody else.
STORE = """
WITH caught_up AS (
    DELETE FROM destinations WHERE destination = ANY($1::text[])
), progress AS (
    INSERT INTO outbound_progress (sent_position, lists_position) VALUES ($7, $8)
    ON CONFLICT (only_row) DO UPDATE
    SET sent_position = excluded.sent_position, lists_position = excluded.lists_position
)
INSERT INTO destinations (destination, sent_position, lists_position, receipts_position, since_ms)
SELECT * FROM unnest($2::text[], $3::bigint[], $4::bigint[], $5::bigint[], $6::bigint[])
ON CONFLICT (destination) DO UPDATE
SET sent_position = excluded.sent_position, lists_position = excluded.lists_position,
    receipts_position = excluded.receipts_position
"""

# Servers of rooms in which something of ours ($2: ':' and our name) was said after $1, also those that left since.
AFFECTED_BY_EVENTS = f"""
SELECT DISTINCT {SERVER.format("m")} FROM memberships m
WHERE m.room_nid IN (
    SELECT e.room_nid FROM events e WHERE e.event_nid > $1 AND (right(e.sender, length($2)) = $2 OR e.flags & 128 <> 0)
) AND (m.membership = 'join' OR m.position > $1)
"""

AFFECTED_BY_LISTS = f"""
SELECT DISTINCT {SERVER.format("m")} FROM memberships m
WHERE m.membership = 'join' AND m.room_nid IN (
    SELECT ours.room_nid FROM device_list_changes c JOIN memberships ours USING (user_id)
    WHERE c.position > $1 AND c.observer = '' AND right(c.user_id, length($2)) = $2 AND ours.membership = 'join'
)
"""

SERVERS_OF_ROOMS = f"""
SELECT DISTINCT {SERVER.format("m")} FROM memberships m JOIN rooms r USING (room_nid)
WHERE r.room_id = ANY($1::text[]) AND m.membership = 'join'
"""

FORWARD = "UPDATE events SET flags = flags | 128::smallint WHERE event_nid = $1"

FORGET = "DELETE FROM destinations WHERE since_ms < $1 RETURNING destination"


@dataclass(slots=True)
class Behind:
    """What a server lacks: everything after these positions; None: nothing of that kind."""

    events: int | None = None
    lists: int | None = None
    receipts: int | None = None
    since_ms: int = 0

    @property
    def is_empty(self) -> bool:
        return self.events is None and self.lists is None and self.receipts is None


@dataclass(frozen=True, slots=True)
class Progress:
    """Who has no row in `destinations` has everything up to here."""

    events: int
    lists: int


class DestinationRows:
    """Statements over servers that are behind."""

    async def progress(self, q: Queries) -> Progress | None:
        """None before anything was ever sent."""
        row = await q.fetchrow(PROGRESS)
        return None if row is None else Progress(row[0], row[1])

    async def behind(self, q: Queries) -> dict[str, Behind]:
        """All that are behind, by name."""
        return {row[0]: Behind(row[1], row[2], row[3], row[4]) for row in await q.fetch(BEHIND)}

    async def store(
        self, q: Queries, behind: Mapping[str, Behind], caught_up: Collection[str], progress: Progress
    ) -> None:
        """Who is behind now, who is not any more, and where everybody else is; one statement."""
        of = list(behind.values())
        await q.execute(
            STORE,
            list(caught_up),
            list(behind),
            [each.events for each in of],
            [each.lists for each in of],
            [each.receipts for each in of],
            [each.since_ms for each in of],
            progress.events,
            progress.lists,
        )

    async def affected_by_events(self, q: Queries, after: int, server_name: str) -> list[str]:
        """Servers that may lack events of ours after this position."""
        return [row[0] for row in await q.fetch(AFFECTED_BY_EVENTS, after, f":{server_name}")]

    async def affected_by_lists(self, q: Queries, after: int, server_name: str) -> list[str]:
        """Servers that may lack changes of our users' device lists after this position."""
        return [row[0] for row in await q.fetch(AFFECTED_BY_LISTS, after, f":{server_name}")]

    async def servers_of_rooms(self, q: Queries, room_ids: Collection[str]) -> set[str]:
        """Servers with a joined user in at least one of these rooms."""
        return {row[0] for row in await q.fetch(SERVERS_OF_ROOMS, list(room_ids))}

    async def forward(self, q: Queries, event_nid: int) -> None:
        """Remember that an event of another server is ours to pass on."""
        await q.execute(FORWARD, event_nid)

    async def forget_before(self, q: Queries, since_ms: int) -> list[str]:
        """Housekeeping: give up servers that have been behind for longer; returns which."""
        return [row[0] for row in await q.fetch(FORGET, since_ms)]

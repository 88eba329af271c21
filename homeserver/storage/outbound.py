"""Tables `destinations`, `outbound_progress`, `outbound_to_device`: what other servers still have to be told."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from homeserver.storage.columns import MEMBERSHIP_IN, SERVER_OF

if TYPE_CHECKING:
    from homeserver.storage.database import Queries

FORWARDED = 512
"""As services/rooms/timeline_event.py has it."""

BEHIND = """
SELECT destination, sent_position, wanted_position, sent_devices, wanted_devices FROM destinations
WHERE wanted_position > sent_position OR wanted_devices > sent_devices
"""

OF = """
SELECT destination, sent_position, wanted_position, sent_devices, wanted_devices FROM destinations
WHERE destination = ANY($1::text[])
"""

# $1 servers, $2 sent, $3 wanted, $4 sent devices, $5 wanted devices; nothing goes backwards. $6 to $8: progress.
PUT = """
WITH progress AS (
    INSERT INTO outbound_progress (position, devices, lists_position) VALUES ($6, $7, $8)
    ON CONFLICT (only_row) DO UPDATE
    SET position = excluded.position, devices = excluded.devices, lists_position = excluded.lists_position
)
INSERT INTO destinations AS d (destination, sent_position, wanted_position, sent_devices, wanted_devices)
SELECT * FROM unnest($1::text[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[])
ON CONFLICT (destination) DO UPDATE
SET sent_position = greatest(d.sent_position, excluded.sent_position),
    wanted_position = greatest(d.wanted_position, excluded.wanted_position),
    sent_devices = greatest(d.sent_devices, excluded.sent_devices),
    wanted_devices = greatest(d.wanted_devices, excluded.wanted_devices)
"""

PROGRESS = "SELECT position, devices, lists_position FROM outbound_progress"

# Whom the events after $1 concern, and up to which position: asked once, after a start. $2: our name. Rooms first: there
# may be many events, and many members.
CONCERNED = f"""
SELECT {SERVER_OF.format("m.user_id")} AS destination, max(said.newest) AS position
FROM (
    SELECT room_nid, min(position) AS oldest, max(position) AS newest FROM events
    WHERE event_nid > $1 AND position > $1 AND (right(sender, length($2) + 1) = ':' || $2 OR flags & {FORWARDED} <> 0)
    GROUP BY room_nid
) said JOIN memberships m ON m.room_nid = said.room_nid
WHERE m.membership = 'join' OR m.position >= said.oldest
GROUP BY 1
"""

# What the server $1 lacks of ($2, $3], oldest first: the newest $5 of each room, of those the first $6. $4: our name.
# `shared`: the server's rooms, found by jumping from one to the next in the index. `missed`: our events in them. `rooms`:
# `whole` where one of its users was joined all the time, which is nearly everywhere. `spells`: elsewhere, for each of its
# users from which event on he was what. An event is for a server that was in the room before it: not for one that was
# only invited, nor for one that came later. One that ends an invite or a knock is for that user's server too.
EVENTS_FOR = f"""
WITH RECURSIVE shared (room_nid) AS (
    (SELECT m.room_nid FROM memberships m WHERE {SERVER_OF.format("m.user_id")} = $1 ORDER BY m.room_nid LIMIT 1)
    UNION ALL
    SELECT (
        SELECT m.room_nid FROM memberships m
        WHERE {SERVER_OF.format("m.user_id")} = $1 AND m.room_nid > s.room_nid ORDER BY m.room_nid LIMIT 1
    ) FROM shared s WHERE s.room_nid IS NOT NULL
), missed AS (
    SELECT e.* FROM shared s CROSS JOIN LATERAL (
        SELECT room_nid, event_id, position FROM events
        WHERE room_nid = s.room_nid AND position > $2 AND position <= $3
          AND (right(sender, length($4) + 1) = ':' || $4
               OR (flags & {FORWARDED} <> 0
                   AND (right(sender, length($1) + 1) <> ':' || $1 OR right(state_key, length($4) + 1) = ':' || $4)))
        ORDER BY position DESC LIMIT $5
    ) e
), rooms AS (
    SELECT room_nid, EXISTS (
        SELECT FROM memberships m WHERE {SERVER_OF.format("m.user_id")} = $1 AND m.room_nid = active.room_nid
          AND m.membership = 'join' AND m.position <= $2
    ) AS whole
    FROM (SELECT DISTINCT room_nid FROM missed) active
), spells AS (
    SELECT m.room_nid, c.position AS low,
           coalesce(lead(c.position) OVER (PARTITION BY m.room_nid, m.user_id ORDER BY c.position), $3) AS high,
           {MEMBERSHIP_IN.format("e.body")} AS membership
    FROM rooms r
    JOIN memberships m ON {SERVER_OF.format("m.user_id")} = $1 AND m.room_nid = r.room_nid
    JOIN state_changes c ON c.room_nid = m.room_nid AND c.type = 'm.room.member' AND c.state_key = m.user_id
    LEFT JOIN events e ON e.event_nid = c.event_nid
    WHERE NOT r.whole
)
SELECT m.event_id, m.position FROM missed m JOIN rooms r USING (room_nid)
WHERE r.whole OR EXISTS (
    SELECT FROM spells s WHERE s.room_nid = m.room_nid
      AND CASE WHEN s.membership = 'join' THEN s.low < m.position AND m.position <= s.high
               ELSE s.membership IN ('invite', 'knock') AND m.position = s.high END
)
ORDER BY m.position LIMIT $6
"""

MARK_FORWARDED = f"UPDATE events SET flags = flags | {FORWARDED} WHERE event_id = ANY($1::text[])"

TO_DEVICE_DESTINATIONS = "SELECT DISTINCT destination FROM outbound_to_device"
# At most $2, and $3 bytes of them; the first whatever its size.
TO_DEVICE = """
SELECT outbound_nid, content FROM (
    SELECT outbound_nid, content, sum(length(content)) OVER w AS size, row_number() OVER w AS place
    FROM (
        SELECT outbound_nid, content FROM outbound_to_device WHERE destination = $1 ORDER BY outbound_nid LIMIT $2
    ) oldest
    WINDOW w AS (ORDER BY outbound_nid)
) waiting
WHERE size <= $3 OR place = 1 ORDER BY outbound_nid
"""
# By their numbers: one that was given a lower number may be committed later.
DELIVERED = "DELETE FROM outbound_to_device WHERE outbound_nid = ANY($1::bigint[])"
PRUNE_TO_DEVICE = "DELETE FROM outbound_to_device WHERE sent_ms < $1"


@dataclass(frozen=True, slots=True)
class Progress:
    """Up to where the destinations know what concerns them."""

    events: int
    devices: int
    """Of device_changes.stream_id."""
    lists: int
    """Position in the stream of device lists up to which changes were looked for."""


@dataclass(slots=True)
class DestinationRow:
    """How far one server is."""

    destination: str
    sent_position: int
    wanted_position: int
    sent_devices: int = 0
    wanted_devices: int = 0

    @property
    def is_behind(self) -> bool:
        return self.wanted_position > self.sent_position or self.wanted_devices > self.sent_devices


class OutboundRows:
    """Statements of the sender."""

    async def behind(self, q: Queries) -> list[DestinationRow]:
        """Servers that have something to be told."""
        return [DestinationRow(*row) for row in await q.fetch(BEHIND)]

    async def of(self, q: Queries, destinations: Collection[str]) -> dict[str, DestinationRow]:
        """Rows of these servers, where there are any."""
        return {row[0]: DestinationRow(*row) for row in await q.fetch(OF, list(destinations))}

    async def put(self, q: Queries, rows: Sequence[DestinationRow], progress: Progress) -> None:
        """Write down how far these servers are; what is behind what is stored changes nothing. One statement."""
        await q.execute(
            PUT,
            [row.destination for row in rows],
            [row.sent_position for row in rows],
            [row.wanted_position for row in rows],
            [row.sent_devices for row in rows],
            [row.wanted_devices for row in rows],
            progress.events,
            progress.devices,
            progress.lists,
        )

    async def progress(self, q: Queries) -> Progress | None:
        """What `put` was told last; None before the first time."""
        row = await q.fetchrow(PROGRESS)
        return None if row is None else Progress(row[0], row[1], row[2])

    async def concerned(self, q: Queries, after: int, server_name: str) -> Mapping[str, int]:
        """Servers (ours among them) by the newest event of ours after this position that concerns them."""
        return {row[0]: row[1] for row in await q.fetch(CONCERNED, after, server_name)}

    async def events_for(
        self, q: Queries, destination: str, *, after: int, up_to: int, server_name: str, of_room: int, limit: int
    ) -> list[tuple[str, int]]:
        """(event id, position), in order: events that the server was not sent yet."""
        rows = await q.fetch(EVENTS_FOR, destination, after, up_to, server_name, of_room, limit)
        return [(row[0], row[1]) for row in rows]

    async def mark_forwarded(self, q: Queries, event_ids: Collection[str]) -> None:
        """These events of others are brought to other servers by us."""
        await q.execute(MARK_FORWARDED, list(event_ids))

    async def waiting_to_device(self, q: Queries) -> set[str]:
        """Servers for whose devices messages wait."""
        return {row[0] for row in await q.fetch(TO_DEVICE_DESTINATIONS)}

    async def to_device(
        self, q: Queries, destination: str, limit: int, max_bytes: int
    ) -> list[tuple[int, bytes]]:  # fmt: skip
        """(number, JSON content) of what waits for a server's devices, oldest first; at least one where there is one."""
        return [(row[0], row[1]) for row in await q.fetch(TO_DEVICE, destination, limit, max_bytes)]

    async def to_device_delivered(self, q: Queries, numbers: Collection[int]) -> None:
        """Forget what has arrived."""
        await q.execute(DELIVERED, list(numbers))

    async def prune_to_device(self, q: Queries, before_ms: int) -> None:
        """Housekeeping: nobody has taken it for very long."""
        await q.execute(PRUNE_TO_DEVICE, before_ms)

"""Tables `destinations`, `outbound_progress`, `outbound_to_device`: what other servers still have to be told."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from homeserver.storage.database import Queries

FORWARDED = 128
"""Flag of events of other servers that came in through us, and that we therefore bring to the others."""

SERVER_OF = "substring({0} FROM position(':' IN {0}) + 1)"

BEHIND = """
SELECT destination, sent_position, wanted_position, sent_devices, wanted_devices FROM destinations
WHERE wanted_position > sent_position OR wanted_devices > sent_devices
"""

OF = """
SELECT destination, sent_position, wanted_position, sent_devices, wanted_devices FROM destinations
WHERE destination = ANY($1::text[])
"""

# $1 servers, $2 sent, $3 wanted, $4 sent devices, $5 wanted devices; nothing goes backwards. $6: progress.
PUT = """
WITH progress AS (
    INSERT INTO outbound_progress (position) VALUES ($6)
    ON CONFLICT (only_row) DO UPDATE SET position = greatest(outbound_progress.position, excluded.position)
)
INSERT INTO destinations AS d (destination, sent_position, wanted_position, sent_devices, wanted_devices)
SELECT * FROM unnest($1::text[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[])
ON CONFLICT (destination) DO UPDATE
SET sent_position = greatest(d.sent_position, excluded.sent_position),
    wanted_position = greatest(d.wanted_position, excluded.wanted_position),
    sent_devices = greatest(d.sent_devices, excluded.sent_devices),
    wanted_devices = greatest(d.wanted_devices, excluded.wanted_devices)
"""

PROGRESS = "SELECT position FROM outbound_progress"

# Whom the events after $1 concern, and up to which position: asked once, after a start. $2: our name.
CONCERNED = f"""
SELECT {SERVER_OF.format("m.user_id")} AS destination, max(e.position) AS position
FROM events e JOIN memberships m ON m.room_nid = e.room_nid
WHERE e.event_nid > $1 AND e.position > $1 AND (right(e.sender, length($2) + 1) = ':' || $2 OR e.flags & {FORWARDED} <> 0)
  AND (m.membership = 'join' OR m.position >= e.position)
GROUP BY 1
"""

# Events for one server ($1) after $2 and up to $3: the newest $5 of each room, of those the first $6. Rooms that it has left
# count up to the event that says so.
EVENTS_FOR = f"""
SELECT e.event_id, e.position FROM (
    SELECT room_nid, CASE WHEN bool_or(membership = 'join') THEN $3 ELSE max(position) END AS up_to
    FROM memberships WHERE {SERVER_OF.format("user_id")} = $1 AND (membership = 'join' OR position > $2)
    GROUP BY room_nid
) r CROSS JOIN LATERAL (
    SELECT event_id, position FROM events
    WHERE room_nid = r.room_nid AND position > $2 AND position <= least(r.up_to, $3)
      AND (right(sender, length($4) + 1) = ':' || $4 OR flags & {FORWARDED} <> 0)
    ORDER BY position DESC LIMIT $5
) e ORDER BY e.position LIMIT $6
"""

MARK_FORWARDED = f"UPDATE events SET flags = flags | {FORWARDED} WHERE event_id = ANY($1::text[])"

TO_DEVICE_DESTINATIONS = "SELECT DISTINCT destination FROM outbound_to_device"
TO_DEVICE = """
SELECT outbound_nid, content FROM outbound_to_device WHERE destination = $1 ORDER BY outbound_nid LIMIT $2
"""
DELIVERED = "DELETE FROM outbound_to_device WHERE destination = $1 AND outbound_nid <= $2"
PRUNE_TO_DEVICE = "DELETE FROM outbound_to_device WHERE sent_ms < $1"


@dataclass(slots=True)
class DestinationRow:
    """How far one server is."""

    destination: str
    sent_position: int
    wanted_position: int
    sent_devices: int = 0
    wanted_devices: int = 0


class OutboundRows:
    """Statements of the sender."""

    async def behind(self, q: Queries) -> list[DestinationRow]:
        """Servers that have something to be told."""
        return [DestinationRow(*row) for row in await q.fetch(BEHIND)]

    async def of(self, q: Queries, destinations: Collection[str]) -> dict[str, DestinationRow]:
        """Rows of these servers, where there are any."""
        return {row[0]: DestinationRow(*row) for row in await q.fetch(OF, list(destinations))}

    async def put(self, q: Queries, rows: Sequence[DestinationRow], progress: int) -> None:
        """Write down how far these servers are; what is behind what is stored changes nothing. One statement."""
        await q.execute(
            PUT,
            [row.destination for row in rows],
            [row.sent_position for row in rows],
            [row.wanted_position for row in rows],
            [row.sent_devices for row in rows],
            [row.wanted_devices for row in rows],
            progress,
        )

    async def progress(self, q: Queries) -> int | None:
        """Up to which event the destinations know what concerns them; None before the first."""
        position: int | None = await q.fetchval(PROGRESS)
        return position

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

    async def to_device(self, q: Queries, destination: str, limit: int) -> list[tuple[int, bytes]]:
        """(number, JSON content) of what waits for a server's devices, oldest first."""
        return [(row[0], row[1]) for row in await q.fetch(TO_DEVICE, destination, limit)]

    async def to_device_delivered(self, q: Queries, destination: str, up_to: int) -> None:
        """Forget what has arrived."""
        await q.execute(DELIVERED, destination, up_to)

    async def prune_to_device(self, q: Queries, before_ms: int) -> None:
        """Housekeeping: nobody has taken it for very long."""
        await q.execute(PRUNE_TO_DEVICE, before_ms)

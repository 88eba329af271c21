"""What other servers are told of our users' devices and receipts: read from the tables of both."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING

from homeserver.storage.outbound import SERVER

if TYPE_CHECKING:
    from homeserver.storage.database import Queries

# $2 and $3: changes in this range; $4 ':' and our name.
CHANGED = f"""
SELECT c.position, c.user_id FROM device_list_changes c
WHERE c.position > $2 AND c.position <= $3 AND c.observer = '' AND right(c.user_id, length($4)) = $4
  AND EXISTS (
    SELECT FROM memberships ours JOIN memberships m USING (room_nid)
    WHERE ours.user_id = c.user_id AND ours.membership = 'join' AND m.membership = 'join' AND {SERVER.format("m")} = $1
  )
ORDER BY c.position LIMIT $5
"""

# Of servers $1 and users $2, in the room $3: who shares no other room.
STRANGERS = f"""
SELECT server, u.user_id FROM unnest($1::text[]) AS server CROSS JOIN unnest($2::text[]) AS u(user_id)
WHERE NOT EXISTS (
    SELECT FROM memberships ours JOIN memberships m USING (room_nid)
    WHERE ours.user_id = u.user_id AND ours.membership = 'join' AND ours.room_nid <> $3
      AND m.membership = 'join' AND {SERVER.format("m")} = server
)
"""

# One row a user that has ever had keys or lost a device: the place of his list in its stream, and one device as an example.
SUMMARIES = """
SELECT c.user_id, c.position, d.device_id, d.keys
FROM device_list_changes c LEFT JOIN LATERAL (
    SELECT d.device_id, k.keys FROM devices d LEFT JOIN device_keys k USING (device_nid)
    WHERE d.user_id = c.user_id ORDER BY k.keys IS NULL, d.device_nid LIMIT 1
) d ON true
WHERE c.user_id = ANY($1::text[]) AND c.observer = ''
"""

DEVICE = """
SELECT d.device_id, k.keys FROM devices d LEFT JOIN device_keys k USING (device_nid)
WHERE d.user_id = $1 AND d.device_id = $2
"""

# $2 and $3: receipts in this range; $4 ':' and our name. The rooms as in outbound_events.py; newest first.
RECEIPTS = f"""
SELECT r.position, rooms.room_id, r.user_id, r.receipt_type, r.thread_id, r.event_id, r.ts
FROM receipts r JOIN rooms USING (room_nid)
WHERE r.position > $2 AND r.position <= $3 AND r.receipt_type = 'm.read' AND right(r.user_id, length($4)) = $4
  AND EXISTS (
    SELECT FROM memberships m WHERE m.room_nid = r.room_nid AND m.membership = 'join' AND {SERVER.format("m")} = $1
  )
ORDER BY r.position DESC LIMIT $5
"""


@dataclass(frozen=True, slots=True)
class DeviceListSummary:
    """A user's list as far as one device can tell. `keys`: canonical JSON; None where the device has none."""

    user_id: str
    position: int
    device_id: str | None
    keys: bytes | None


@dataclass(frozen=True, slots=True)
class StoredReceipt:
    """A row of `receipts`, with its room's id."""

    position: int
    room_id: str
    user_id: str
    receipt_type: str
    thread_id: str
    event_id: str
    ts: int


@dataclass(frozen=True, slots=True)
class OutboundLists:
    """Statements; each takes the names of servers as they are in user ids."""

    server_name: str

    async def changed(self, q: Queries, destination: str, after: int, up_to: int, limit: int) -> list[tuple[int, str]]:
        """Position and user of changes in `(after, up_to]` that this server has to hear of, oldest first."""
        rows = await q.fetch(CHANGED, destination, after, up_to, f":{self.server_name}", limit)
        return [(row[0], row[1]) for row in rows]

    async def strangers(
        self, q: Queries, destinations: Collection[str], user_ids: Collection[str], room_nid: int
    ) -> list[tuple[str, str]]:
        """Which of these servers and users share no room but this one."""
        return [(row[0], row[1]) for row in await q.fetch(STRANGERS, list(destinations), list(user_ids), room_nid)]

    async def summaries(self, q: Queries, user_ids: Collection[str]) -> list[DeviceListSummary]:
        """Of those among these users whose device list has ever changed."""
        return [DeviceListSummary(*row) for row in await q.fetch(SUMMARIES, list(user_ids))]

    async def device(self, q: Queries, user_id: str, device_id: str) -> tuple[str, bytes | None] | None:
        """Its id and keys; None where it is gone."""
        row = await q.fetchrow(DEVICE, user_id, device_id)
        return None if row is None else (row[0], row[1])

    async def receipts(
        self, q: Queries, destination: str, after: int, up_to: int, limit: int
    ) -> list[StoredReceipt]:  # fmt: skip
        """The newest public receipts in `(after, up_to]` of rooms that this server is in, oldest first."""
        rows = await q.fetch(RECEIPTS, destination, after, up_to, f":{self.server_name}", limit)
        return [StoredReceipt(*row) for row in reversed(rows)]

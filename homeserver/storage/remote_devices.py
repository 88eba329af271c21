"""Tables `remote_device_lists` and `remote_devices`: devices of other servers' users who share a room with one of ours."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from homeserver.storage.columns import SERVER_OF

if TYPE_CHECKING:
    from homeserver.storage.database import Queries

# {0} is in a room in which users of the server {1} are, too: of others nobody tells us the changes. Of rooms that all of
# ours have left we still know who was in them.
TOGETHER = f"""
EXISTS (
    SELECT FROM memberships m JOIN memberships ours USING (room_nid)
    WHERE m.user_id = {{0}} AND m.membership = 'join'
      AND {SERVER_OF.format("ours.user_id")} = {{1}} AND ours.membership = 'join'
)
"""

FRESH = f"""
SELECT l.user_id, d.device_id, d.display_name, d.keys
FROM remote_device_lists l LEFT JOIN remote_devices d USING (user_id)
WHERE l.user_id = ANY($1::text[]) AND NOT l.stale AND {TOGETHER.format("l.user_id", "$2")}
"""

TRACKED = f"SELECT w.user_id FROM unnest($1::text[]) AS w(user_id) WHERE {TOGETHER.format('w.user_id', '$2')}"

# $1 users, $2 stream ids, $3 time; $4 owners, $5 devices, $6 names, $7 keys: all that these users have.
REPLACE = """
WITH lists AS (
    INSERT INTO remote_device_lists AS l (user_id, stream_id, stale, fetched_ms)
    SELECT user_id, stream_id, false, $3 FROM unnest($1::text[], $2::bigint[]) AS g(user_id, stream_id)
    ON CONFLICT (user_id) DO UPDATE SET stream_id = excluded.stream_id, stale = false, fetched_ms = excluded.fetched_ms
    RETURNING user_id
), given AS (
    SELECT * FROM unnest($4::text[], $5::text[], $6::text[], $7::bytea[]) AS g(user_id, device_id, display_name, keys)
), gone AS (
    DELETE FROM remote_devices d WHERE d.user_id = ANY($1::text[])
      AND NOT EXISTS (SELECT FROM given g WHERE g.user_id = d.user_id AND g.device_id = d.device_id)
)
INSERT INTO remote_devices (user_id, device_id, display_name, keys) SELECT g.* FROM given g JOIN lists USING (user_id)
ON CONFLICT (user_id, device_id) DO UPDATE SET display_name = excluded.display_name, keys = excluded.keys
"""

# A change that follows the one we know: $1 user, $2 the one before, $3 this one, $4 device, $5 name, $6 keys (NULL: deleted);
# $7 devices that he may have.
FOLLOW = """
WITH list AS (
    UPDATE remote_device_lists SET stream_id = $3 WHERE user_id = $1 AND stream_id = $2 AND NOT stale
      AND ($6::bytea IS NULL OR (SELECT count(*) FROM remote_devices WHERE user_id = $1 AND device_id <> $4) < $7)
    RETURNING user_id
), gone AS (
    DELETE FROM remote_devices WHERE user_id = $1 AND device_id = $4 AND $6::bytea IS NULL AND EXISTS (SELECT FROM list)
), put AS (
    INSERT INTO remote_devices (user_id, device_id, display_name, keys)
    SELECT user_id, $4, $5, $6 FROM list WHERE $6::bytea IS NOT NULL
    ON CONFLICT (user_id, device_id) DO UPDATE SET display_name = excluded.display_name, keys = excluded.keys
)
SELECT count(*) FROM list
"""

MAKE_STALE = "UPDATE remote_device_lists SET stale = true WHERE user_id = ANY($1::text[]) AND NOT stale"

MAKE_ROOMS_STALE = """
UPDATE remote_device_lists l SET stale = true FROM memberships m
WHERE m.room_nid = ANY($1::int[]) AND m.membership = 'join' AND m.user_id = l.user_id AND NOT l.stale
"""

# Of nobody who is in a room with us any more, and old: asked for again when they come back.
FORGET = """
DELETE FROM remote_device_lists l
WHERE l.fetched_ms < $1
  AND NOT EXISTS (SELECT FROM memberships m WHERE m.user_id = l.user_id AND m.membership = 'join')
"""


@dataclass(frozen=True, slots=True)
class RemoteDevice:
    """`keys`: canonical JSON without `unsigned`."""

    device_id: str
    display_name: str | None
    keys: bytes


@dataclass(frozen=True, slots=True)
class RemoteDeviceList:
    """All devices of a user, as his server told them; `stream_id` None where it did not say which change is the last."""

    user_id: str
    stream_id: int | None
    devices: Sequence[RemoteDevice]


class RemoteDevices:
    """Statements over the devices of other servers' users."""

    async def fresh(self, q: Queries, user_ids: Sequence[str], server_name: str) -> dict[str, list[RemoteDevice]]:
        """Devices by user, of those whose list is known to be complete. `server_name` is ours."""
        found: dict[str, list[RemoteDevice]] = {}
        for user_id, device_id, display_name, keys in await q.fetch(FRESH, list(user_ids), server_name):
            devices = found.setdefault(user_id, [])
            if device_id is not None:
                devices.append(RemoteDevice(device_id, display_name, keys))
        return found

    async def tracked(self, q: Queries, user_ids: Sequence[str], server_name: str) -> set[str]:
        """Those of whose changes we hear: they share a room with users of ours."""
        return {row[0] for row in await q.fetch(TRACKED, list(user_ids), server_name)}

    async def replace(self, q: Queries, lists: Sequence[RemoteDeviceList], now_ms: int) -> None:
        """Store what servers told of users' devices, in place of what was there."""
        rows = [(each.user_id, device) for each in lists for device in each.devices]
        await q.execute(
            REPLACE,
            [each.user_id for each in lists],
            [each.stream_id for each in lists],
            now_ms,
            [user_id for user_id, _ in rows],
            [device.device_id for _, device in rows],
            [device.display_name for _, device in rows],
            [device.keys for _, device in rows],
        )

    async def follow(
        self, q: Queries, user_id: str, before: int, stream_id: int, device: RemoteDevice, *, deleted: bool, most: int
    ) -> bool:
        """One change, if the list is the one that it follows and has at most that many devices then; False where it is
        not, and nothing is changed.
        """
        keys = None if deleted else device.keys
        count: int = await q.fetchval(
            FOLLOW, user_id, before, stream_id, device.device_id, device.display_name, keys, most
        )  # fmt: skip
        return count == 1

    async def make_stale(self, q: Queries, user_ids: Sequence[str]) -> None:
        """Something is missing in these lists."""
        await q.execute(MAKE_STALE, list(user_ids))

    async def make_rooms_stale(self, q: Queries, room_nids: Sequence[int]) -> None:
        """Something may be missing in the lists of all who are in these rooms."""
        await q.execute(MAKE_ROOMS_STALE, list(room_nids))

    async def forget(self, q: Queries, before_ms: int) -> None:
        """Housekeeping."""
        await q.execute(FORGET, before_ms)

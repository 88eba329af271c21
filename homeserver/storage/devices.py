"""Devices of local users: the names under which they are signed in."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from homeserver.storage.sessions import Seen

if TYPE_CHECKING:
    from homeserver.storage.database import Queries

_COLUMNS = "device_nid, device_id, display_name, created_ms, last_seen_ms, last_seen_ip, last_seen_user_agent"

OF_USER = f"SELECT {_COLUMNS} FROM devices WHERE user_id = $1 ORDER BY device_nid"

BY_ID = f"SELECT {_COLUMNS} FROM devices WHERE user_id = $1 AND device_id = $2"

ADD = """
INSERT INTO devices (user_id, device_id, display_name, created_ms) VALUES ($1, $2, $3, $4)
ON CONFLICT (user_id, device_id) DO NOTHING RETURNING device_nid
"""

RENAME = "UPDATE devices SET display_name = $3 WHERE user_id = $1 AND device_id = $2 RETURNING device_nid"

# Tokens are deleted by name although they would follow their device: their hashes have to be forgotten in memory too.
DELETE = """
WITH doomed AS (
    SELECT device_nid FROM devices WHERE user_id = $1 AND device_id = ANY($2)
), revoked AS (
    DELETE FROM access_tokens WHERE device_nid IN (SELECT device_nid FROM doomed) RETURNING token_hash
), deleted AS (
    DELETE FROM devices WHERE device_nid IN (SELECT device_nid FROM doomed) RETURNING device_id
)
SELECT ARRAY(SELECT device_id FROM deleted) AS device_ids, ARRAY(SELECT token_hash FROM revoked) AS token_hashes
"""

DELETE_ALL = """
WITH doomed AS (
    SELECT device_nid FROM devices WHERE user_id = $1 AND device_id IS DISTINCT FROM $2
), revoked AS (
    DELETE FROM access_tokens WHERE device_nid IN (SELECT device_nid FROM doomed) RETURNING token_hash
), deleted AS (
    DELETE FROM devices WHERE device_nid IN (SELECT device_nid FROM doomed) RETURNING device_id
)
SELECT ARRAY(SELECT device_id FROM deleted) AS device_ids, ARRAY(SELECT token_hash FROM revoked) AS token_hashes
"""

SEEN = """
UPDATE devices SET last_seen_ms = seen.at_ms, last_seen_ip = seen.ip, last_seen_user_agent = seen.user_agent
FROM unnest($1::integer[], $2::bigint[], $3::text[], $4::text[]) AS seen (device_nid, at_ms, ip, user_agent)
WHERE devices.device_nid = seen.device_nid
"""


@dataclass(frozen=True, slots=True)
class Device:
    """One device and when it was last seen."""

    device_nid: int
    device_id: str
    display_name: str | None
    created_ms: int
    last_seen_ms: int | None
    last_seen_ip: str | None
    last_seen_user_agent: str | None


@dataclass(frozen=True, slots=True)
class DeletedDevices:
    """What a deletion removed; the hashes are those of the access tokens that ended with it."""

    device_ids: Sequence[str]
    token_hashes: Sequence[bytes]


class DeviceRows:
    """Queries over devices. Those that people sign in with are made by `SessionTokens.open`."""

    async def of_user(self, q: Queries, user_id: str) -> list[Device]:
        """All devices of the user, oldest first."""
        return [Device(*row) for row in await q.fetch(OF_USER, user_id)]

    async def get(self, q: Queries, user_id: str, device_id: str) -> Device | None:
        """One device of the user."""
        row = await q.fetchrow(BY_ID, user_id, device_id)
        return Device(*row) if row else None

    async def add(self, q: Queries, user_id: str, device_id: str, display_name: str | None, now_ms: int) -> bool:
        """A device that nobody is signed in with. False where the user has one of this name."""
        return await q.fetchval(ADD, user_id, device_id, display_name, now_ms) is not None

    async def rename(self, q: Queries, user_id: str, device_id: str, display_name: str) -> bool:
        """False where the user has no such device."""
        return await q.fetchval(RENAME, user_id, device_id, display_name) is not None

    async def delete(self, q: Queries, user_id: str, device_ids: Collection[str]) -> DeletedDevices:
        """Delete these devices of the user and everything they are signed in with."""
        row = await q.fetchrow(DELETE, user_id, list(device_ids))
        assert row is not None
        return DeletedDevices(*row)

    async def delete_all(self, q: Queries, user_id: str, keep: str | None = None) -> DeletedDevices:
        """Delete all devices of the user, but for the one to keep."""
        row = await q.fetchrow(DELETE_ALL, user_id, keep)
        assert row is not None
        return DeletedDevices(*row)

    async def write_seen(self, q: Queries, seen_by_device: Mapping[int, Seen]) -> None:
        """When and from where devices were seen, by device number, in one statement."""
        values = list(seen_by_device.values())
        await q.execute(
            SEEN,
            list(seen_by_device),
            [seen.at_ms for seen in values],
            [seen.ip for seen in values],
            [seen.user_agent for seen in values],
        )

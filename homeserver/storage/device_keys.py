"""Table `device_keys`: the identity keys of local devices."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from homeserver.storage.database import Queries

OF_DEVICE = "SELECT keys FROM device_keys WHERE device_nid = $1"

OF_USERS = """
SELECT d.user_id, d.device_id, d.device_nid, d.display_name, k.keys
FROM devices d JOIN device_keys k USING (device_nid)
WHERE d.user_id = ANY($1::text[])
"""

# The change of the device list is written by the same statement: nobody can see one without the other.
STORE = """
WITH change AS (
    INSERT INTO device_list_changes (user_id, position) VALUES ($4, $5)
    ON CONFLICT (user_id, observer) DO UPDATE SET position = greatest(device_list_changes.position, excluded.position)
)
INSERT INTO device_keys (device_nid, keys, uploaded_ms) VALUES ($1, $2, $3)
ON CONFLICT (device_nid) DO UPDATE SET keys = excluded.keys, uploaded_ms = excluded.uploaded_ms
"""

# Compared with what the caller saw, so that two signatures arriving together do not overwrite each other.
REPLACE = """
UPDATE device_keys k SET keys = new.after
FROM unnest($1::int[], $2::bytea[], $3::bytea[]) AS new(device_nid, before, after)
WHERE k.device_nid = new.device_nid AND k.keys = new.before
"""

HAS_DEVICE = "SELECT EXISTS (SELECT FROM devices WHERE user_id = $1 AND device_id = ANY($2::text[]))"


@dataclass(frozen=True, slots=True)
class StoredDeviceKeys:
    """Keys of one device. `keys`: canonical JSON without `unsigned`."""

    user_id: str
    device_id: str
    device_nid: int
    display_name: str | None
    keys: bytes


@dataclass(frozen=True, slots=True)
class Replacement:
    """New bytes for a row that still has the old ones. `row`: the row's number or name."""

    device_nid: int
    before: bytes
    after: bytes


class DeviceKeys:
    """Statements over device_keys."""

    async def of_device(self, q: Queries, device_nid: int) -> bytes | None:
        """The keys of one device."""
        keys: bytes | None = await q.fetchval(OF_DEVICE, device_nid)
        return keys

    async def of_users(self, q: Queries, user_ids: Sequence[str]) -> list[StoredDeviceKeys]:
        """The keys of all devices of these users that have any."""
        return [StoredDeviceKeys(*row) for row in await q.fetch(OF_USERS, list(user_ids))]

    async def store(
        self, q: Queries, device_nid: int, keys: bytes, now_ms: int, *, user_id: str, change_position: int
    ) -> None:
        """Store or replace a device's keys and record the change of the user's device list, in one statement."""
        await q.execute(STORE, device_nid, keys, now_ms, user_id, change_position)

    async def replace(self, q: Queries, replacements: Sequence[Replacement]) -> bool:
        """Put new bytes in place of known old ones; False if any row has changed in between."""
        tag = await q.execute(
            REPLACE,
            [replacement.device_nid for replacement in replacements],
            [replacement.before for replacement in replacements],
            [replacement.after for replacement in replacements],
        )
        return tag == f"UPDATE {len(replacements)}"

    async def has_device(self, q: Queries, user_id: str, device_ids: Sequence[str]) -> bool:
        """Whether the user has a device with one of these ids, with or without keys."""
        found: bool = await q.fetchval(HAS_DEVICE, user_id, list(device_ids))
        return found

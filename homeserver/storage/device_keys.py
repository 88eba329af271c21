"""Table `device_keys`: the identity keys of local devices."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from homeserver.storage.database import Queries

# Locks the device: its uploads come one after the other, and it is not deleted meanwhile.
LOCK_DEVICE = """
SELECT d.device_id, k.keys,
       EXISTS (SELECT FROM cross_signing_keys c WHERE c.user_id = d.user_id AND c.public_key = d.device_id) AS is_taken
FROM devices d LEFT JOIN device_keys k USING (device_nid)
WHERE d.device_nid = $1 FOR NO KEY UPDATE OF d
"""

# A user without devices that have keys is one row of NULLs; a user who does not exist is none.
OF_USERS = """
SELECT u.user_id, k.device_id, k.device_nid, k.display_name, k.keys
FROM users u LEFT JOIN LATERAL (
    SELECT d.device_id, d.device_nid, d.display_name, k.keys
    FROM devices d JOIN device_keys k USING (device_nid) WHERE d.user_id = u.user_id
) k ON true
WHERE u.user_id = ANY($1::text[])
"""

LOCK_OF_USER = """
SELECT d.user_id, d.device_id, d.device_nid, d.display_name, k.keys
FROM devices d JOIN device_keys k USING (device_nid) WHERE d.user_id = $1 ORDER BY device_nid FOR NO KEY UPDATE
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

# Compared with what the caller saw: whoever forgets to lock overwrites nobody's signature.
REPLACE = """
UPDATE device_keys k SET keys = new.after
FROM unnest($1::int[], $2::bytea[], $3::bytea[]) AS new(device_nid, before, after)
WHERE k.device_nid = new.device_nid AND k.keys = new.before
"""

HAS_DEVICE = "SELECT EXISTS (SELECT FROM devices WHERE user_id = $1 AND device_id = ANY($2::text[]))"


@dataclass(frozen=True, slots=True)
class LockedDevice:
    """A device that is about to publish keys. `keys`: what it has published before."""

    keys: bytes | None
    is_taken: bool
    """Whether the device is called like a cross-signing key of its user."""


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
    """New keys for a device that still has the old ones."""

    device_nid: int
    before: bytes
    after: bytes


class DeviceKeys:
    """Statements over device_keys."""

    async def lock_device(self, tx: Queries, device_nid: int) -> LockedDevice | None:
        """The device, locked until the transaction ends; None if it is gone."""
        row = await tx.fetchrow(LOCK_DEVICE, device_nid)
        return LockedDevice(row["keys"], row["is_taken"]) if row else None

    async def of_users(self, q: Queries, user_ids: Sequence[str]) -> dict[str, list[StoredDeviceKeys]]:
        """The devices of these users that have keys, by user; whoever has no account is left out."""
        found: dict[str, list[StoredDeviceKeys]] = {}
        for row in await q.fetch(OF_USERS, list(user_ids)):
            devices = found.setdefault(row["user_id"], [])
            if row["keys"] is not None:
                devices.append(StoredDeviceKeys(*row))
        return found

    async def lock_of_user(self, tx: Queries, user_id: str) -> list[StoredDeviceKeys]:
        """The keys of a user's devices, locked until the transaction ends."""
        return [StoredDeviceKeys(*row) for row in await tx.fetch(LOCK_OF_USER, user_id)]

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

"""Table `dehydrated_devices`: at most one device a user that sleeps on the server, encrypted (MSC3814)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from homeserver.storage.database import Queries

OF_USER = """
SELECT d.device_id, d.device_nid, x.device_data
FROM dehydrated_devices x JOIN devices d USING (device_nid) WHERE x.user_id = $1
"""

STORE = """
INSERT INTO dehydrated_devices (user_id, device_nid, device_data) VALUES ($1, $2, $3)
ON CONFLICT (user_id) DO UPDATE SET device_nid = excluded.device_nid, device_data = excluded.device_data
"""

# A device of that name that is awake stays as it is.
CREATE_DEVICE = """
INSERT INTO devices (user_id, device_id, display_name, created_ms) VALUES ($1, $2, $3, $4)
ON CONFLICT (user_id, device_id) DO NOTHING RETURNING device_nid
"""

LOCK_USER = "SELECT FROM users WHERE user_id = $1 FOR NO KEY UPDATE"


@dataclass(frozen=True, slots=True)
class DehydratedDevice:
    """A sleeping device. `device_data`: JSON, encrypted by the client."""

    device_id: str
    device_nid: int
    device_data: bytes


class DehydratedDevices:
    """Statements over dehydrated_devices."""

    async def of_user(self, q: Queries, user_id: str) -> DehydratedDevice | None:
        """The user's dehydrated device."""
        row = await q.fetchrow(OF_USER, user_id)
        return DehydratedDevice(*row) if row else None

    async def lock_user(self, tx: Queries, user_id: str) -> None:
        """Let one request of a user at a time replace his dehydrated device."""
        await tx.execute(LOCK_USER, user_id)

    async def create_device(
        self, q: Queries, user_id: str, device_id: str, display_name: str | None, now_ms: int
    ) -> int | None:
        """Make a device that nobody is signed in on. Returns its number; None if the name is taken."""
        device_nid: int | None = await q.fetchval(CREATE_DEVICE, user_id, device_id, display_name, now_ms)
        return device_nid

    async def store(self, q: Queries, user_id: str, device_nid: int, device_data: bytes) -> None:
        """Set the user's dehydrated device; the device it replaces is deleted by the caller."""
        await q.execute(STORE, user_id, device_nid, device_data)

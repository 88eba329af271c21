"""Account data about single devices, which goes with them (MSC3890)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from homeserver.services.account_data.account_data import DELETED
from homeserver.services.account_data.stream import AccountDataStream
from homeserver.storage.account_data import EVERYWHERE, AccountDataRows

if TYPE_CHECKING:
    from homeserver.storage.database import Queries

LOCAL_NOTIFICATION_SETTINGS: Final = (
    "m.local_notification_settings.",
    "org.matrix.msc3890.local_notification_settings.",
)


@dataclass(frozen=True, slots=True)
class DeviceSettings:
    """One verb, a hook of deleted devices."""

    queries: Queries
    rows: AccountDataRows
    stream: AccountDataStream

    async def devices_deleted(self, user_id: str, device_ids: Sequence[str]) -> None:
        """Whether they are silent is nobody's business any more; the user's other devices are told."""
        types = [prefix + device_id for device_id in device_ids for prefix in LOCAL_NOTIFICATION_SETTINGS]
        async with self.stream.writing_many(len(types)) as writes:
            positions = [write.position for write in writes]
            deleted = await self.rows.delete_many(self.queries, user_id, types, positions)
            for event_type, write in zip(types, writes, strict=True):
                if event_type in deleted:
                    write.done(user_id, EVERYWHERE, event_type, DELETED)

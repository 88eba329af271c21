"""Devices of somebody else: make, rename, delete."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from homeserver.services.administration.accounts import AccountAdministration
from homeserver.services.audit.audit_log import AuditLog
from homeserver.services.devices import Devices
from homeserver.services.requester import Requester, on_behalf_of
from homeserver.storage.devices import Device

if TYPE_CHECKING:
    from homeserver.storage.database import Queries


@dataclass(frozen=True, slots=True)
class DeviceAdministration:
    """All verbs raise InvalidParam and NotFound for what is no account here."""

    queries: Queries
    accounts: AccountAdministration
    devices: Devices
    audit: AuditLog

    async def of_user(self, user_id: str) -> list[Device]:
        """All devices."""
        await self.accounts.get(user_id)
        return await self.devices.of_user(user_id)

    async def get(self, user_id: str, device_id: str) -> Device:
        """One. Raises NotFound."""
        await self.accounts.get(user_id)
        return await self.devices.get(user_id, device_id)

    async def make(self, requester: Requester, user_id: str, device_id: str) -> None:
        """A device that nobody is signed in with; one that exists stays as it is."""
        await self.accounts.get(user_id)
        if await self.devices.make(on_behalf_of(user_id), device_id, None):
            await self.audit.record(self.queries, requester, "device.create", user_id, {"device_id": device_id})

    async def rename(self, requester: Requester, user_id: str, device_id: str, display_name: str | None) -> None:
        """None leaves the name as it is. Raises NotFound."""
        await self.accounts.get(user_id)
        await self.devices.rename(user_id, device_id, display_name)
        details = {"device_id": device_id, "display_name": display_name}
        await self.audit.record(self.queries, requester, "device.rename", user_id, details)

    async def delete(self, requester: Requester, user_id: str, device_ids: Sequence[str]) -> None:
        """With their sessions; those that do not exist are no error."""
        await self.accounts.get(user_id)
        self.devices.check_deletion(device_ids)
        await self.audit.record(self.queries, requester, "device.delete", user_id, {"devices": list(device_ids)})
        await self.devices.delete(user_id, device_ids)

"""A user's devices: list, rename, delete. Whatever ends a session ends here, so that the hooks run exactly once."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from homeserver.protocol import errors
from homeserver.services.audit.audit_log import AuditLog
from homeserver.services.sessions.authenticator import Authenticator
from homeserver.services.sessions.last_seen import LastSeen
from homeserver.services.text_limits import (
    MAX_DEVICE_ID_CHARACTERS,
    MAX_DEVICE_NAME_CHARACTERS,
    check_device_id,
    check_device_name,
    check_text,
    is_storable,
)
from homeserver.storage.devices import DeletedDevices, Device, DeviceRows

if TYPE_CHECKING:
    from homeserver.services.clock import Clock
    from homeserver.services.requester import Requester
    from homeserver.storage.database import Queries

MAX_DEVICES_PER_DELETION = 1000

DevicesDeleted = Callable[[str, Sequence[str]], Awaitable[None]]
DeviceRenamed = Callable[[str, str], Awaitable[None]]
DeviceMade = Callable[[str, str], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class DeviceHooks:
    """Called after the commit, with the user id and the device ids. The composition root fills the lists."""

    deleted: list[DevicesDeleted] = field(default_factory=list)
    """Keys, to-device messages, pushers and waiting transactions of the devices go."""
    renamed: list[DeviceRenamed] = field(default_factory=list)
    """The name is part of what /keys/query answers."""
    made: list[DeviceMade] = field(default_factory=list)
    """By a login. The first device of a new account is nobody's news: he is in no room yet."""


@dataclass(frozen=True, slots=True)
class Devices:
    """Verbs over a user's devices."""

    queries: Queries
    rows: DeviceRows
    authenticator: Authenticator
    last_seen: LastSeen
    clock: Clock
    audit: AuditLog
    hooks: DeviceHooks = field(default_factory=DeviceHooks)

    async def of_user(self, user_id: str) -> list[Device]:
        """All devices, with what was seen of them up to now."""
        return [self.last_seen.apply_to(device) for device in await self.rows.of_user(self.queries, user_id)]

    async def of_account(self, requester: Requester, user_id: str) -> list[Device]:
        """The same for administrators, who may ask about anybody. Raises Forbidden."""
        if requester.user_id != user_id:
            if not requester.is_admin:
                raise errors.Forbidden("Only administrators may ask about others")
            await self.audit.record(self.queries, requester, "user.whois", user_id)
        return await self.of_user(user_id)

    async def get(self, user_id: str, device_id: str) -> Device:
        """One device. Raises NotFound."""
        device = None
        if is_storable(device_id, MAX_DEVICE_ID_CHARACTERS):
            device = await self.rows.get(self.queries, user_id, device_id)
        if device is None:
            raise errors.NotFound("There is no such device")
        return self.last_seen.apply_to(device)

    async def rename(self, user_id: str, device_id: str, display_name: str | None) -> None:
        """Set the display name; None leaves it as it is. Raises NotFound."""
        if display_name is None:
            await self.get(user_id, device_id)
            return
        check_text(display_name, "display_name", MAX_DEVICE_NAME_CHARACTERS)
        known = is_storable(device_id, MAX_DEVICE_ID_CHARACTERS)
        if not known or not await self.rows.rename(self.queries, user_id, device_id, display_name):
            raise errors.NotFound("There is no such device")
        for renamed in self.hooks.renamed:
            await renamed(user_id, device_id)

    async def make(self, requester: Requester, device_id: str, display_name: str | None) -> bool:
        """A device without a session, for an application service (MSC4190). False where it exists. Raises InvalidParam."""
        check_device_id(device_id)
        check_device_name(display_name)
        made = await self.rows.add(self.queries, requester.user_id, device_id, display_name, self.clock.now_ms())
        if made:
            for hook in self.hooks.made:
                await hook(requester.user_id, device_id)
        return made

    def check_deletion(self, device_ids: Collection[str]) -> None:
        """Before anybody has to prove anything. Raises InvalidParam where these are too many at once."""
        if len(device_ids) > MAX_DEVICES_PER_DELETION:
            raise errors.InvalidParam(f"At most {MAX_DEVICES_PER_DELETION} devices can be deleted at once")

    async def delete(self, user_id: str, device_ids: Collection[str]) -> None:
        """Delete devices and end their sessions; those that do not exist are no error. Raises InvalidParam."""
        self.check_deletion(device_ids)
        possible = [device_id for device_id in device_ids if is_storable(device_id, MAX_DEVICE_ID_CHARACTERS)]
        if possible:
            with self.authenticator.revoking(user_id):
                deleted = await self.rows.delete(self.queries, user_id, possible)
            await self._after(user_id, deleted)

    async def delete_all(self, user_id: str, keep: str | None = None) -> None:
        """Delete all devices of the user, but for the one to keep."""
        with self.authenticator.revoking(user_id):
            deleted = await self.rows.delete_all(self.queries, user_id, keep)
        await self._after(user_id, deleted)

    async def log_out(self, requester: Requester) -> None:
        """End the session the request was made with, and delete its device. Raises Forbidden for application services."""
        await self.delete(requester.user_id, [_own_device(requester)])

    async def log_out_everywhere(self, requester: Requester) -> None:
        """End all sessions of the user."""
        _own_device(requester)
        await self.delete_all(requester.user_id)

    async def _after(self, user_id: str, deleted: DeletedDevices) -> None:
        self.authenticator.forget(deleted.token_hashes)
        if deleted.device_ids:
            for hook in self.hooks.deleted:
                await hook(user_id, deleted.device_ids)


def _own_device(requester: Requester) -> str:
    if requester.device_id is None or requester.appservice_id is not None:
        raise errors.Forbidden("There is no device here that could be logged out")
    return requester.device_id

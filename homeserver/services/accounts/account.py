"""What users do with their own account: change the password, leave for good, look at their addresses."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from homeserver.protocol import errors
from homeserver.services.accounts.passwords import PasswordHasher, PasswordPolicy
from homeserver.services.devices import Devices
from homeserver.storage.users import Threepid, Users

if TYPE_CHECKING:
    from homeserver.services.clock import Clock
    from homeserver.services.requester import Requester
    from homeserver.storage.database import Database

log = logging.getLogger(__name__)

# Longer than any deactivation takes that is still under way.
FINISH_INTERVAL_MS = 10 * 60_000
MAX_FINISHED_AT_ONCE = 100

Deactivated = Callable[[str, bool], Awaitable[None]]
KeptElsewhere = Callable[[str], Awaitable[bool]]
PasswordChanged = Callable[[str], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Accounts:
    """Verbs over one's own account. Whether it is really oneself who asks has been checked before."""

    database: Database
    users: Users
    devices: Devices
    hasher: PasswordHasher
    policy: PasswordPolicy
    clock: Clock
    on_deactivated: list[Deactivated] = field(default_factory=list)
    """Called after the commit with the user id and whether to erase: leave all rooms, drop pushers, account data."""
    on_password_changed: list[PasswordChanged] = field(default_factory=list)
    """Called after the commit with the user id."""

    kept_elsewhere: list[KeptElsewhere] = field(default_factory=list)
    """Asked with the user id: whether his password is that of a directory."""

    async def check_is_ours(self, user_id: str) -> None:
        """Else whoever leaves the directory would keep a way in here. Raises Forbidden."""
        for is_kept in self.kept_elsewhere:
            if await is_kept(user_id):
                raise errors.Forbidden("Your password is that of your organisation's directory: change it there")

    async def check_new_password(self, new_password: str, user_id: str | None = None) -> None:
        """Before anybody has to prove anything for a password that is refused anyway.

        Raises WeakPassword, InvalidParam; Forbidden where his password is not kept here.
        """
        if user_id is not None:
            await self.check_is_ours(user_id)
        await self.policy.check_new(new_password, user_id)

    async def change_password(self, requester: Requester, new_password: str, *, logout_devices: bool) -> None:
        """Set a new password; `logout_devices` ends all other sessions and deletes their devices. Raises WeakPassword."""
        self.policy.check(new_password)
        await self.set_password(
            requester.user_id, new_password, logout_devices=logout_devices, keep=requester.device_id
        )  # fmt: skip

    async def set_password(
        self, user_id: str, new_password: str, *, logout_devices: bool, keep: str | None = None
    ) -> None:  # fmt: skip
        """Set a password that has passed the policy. `keep`: the device that is not logged out."""
        password_hash = await self.hasher.hash(new_password)
        await self.users.set_password(self.database, user_id, password_hash)
        await self.password_changed(user_id, logout_devices=logout_devices, keep=keep)

    async def password_changed(self, user_id: str, *, logout_devices: bool, keep: str | None = None) -> None:
        """What follows from a new password, once it is committed. Devices first: whoever is signed in with one must not make
        anew what the hooks take away.
        """
        if logout_devices:
            await self.devices.delete_all(user_id, keep=keep)
        for hook in self.on_password_changed:
            await hook(user_id)

    async def deactivate(self, user_id: str, *, erase: bool) -> None:
        """End the account: no password, no sessions, no addresses; the user id stays taken.

        In this order, so that nobody signs in meanwhile; what is interrupted is done later by `finish_deactivations`.
        """
        await self.users.deactivate(self.database, user_id, self.clock.now_ms(), erase=erase)
        await self._leave(user_id, erase)

    async def _leave(self, user_id: str, erase: bool) -> None:
        await self.devices.delete_all(user_id)
        for hook in self.on_deactivated:
            await hook(user_id, erase)
        await self.users.left(self.database, user_id)

    async def finish_deactivations(self) -> None:
        """Housekeeping: what a crash interrupted. The hooks have to bear being called twice."""
        before_ms = self.clock.now_ms() - FINISH_INTERVAL_MS
        for user_id, erased in await self.users.leaving(self.database, before_ms, MAX_FINISHED_AT_ONCE):
            try:
                await self._leave(user_id, erased)
            except Exception:
                log.exception("the deactivation of %s could not be finished", user_id)

    async def threepids(self, user_id: str) -> list[Threepid]:
        """Addresses for administrative contact."""
        return await self.users.threepids(self.database, user_id)

"""Whom an application service speaks for. Application service API, "Identity assertion".

A user of a namespace exists once it was registered; `sender` always does. What was found is remembered, as with tokens of
people: whatever changes users or devices calls `forget_user`.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from homeserver.protocol import errors
from homeserver.services.requester import Requester
from homeserver.services.text_limits import MAX_DEVICE_ID_CHARACTERS, is_storable

if TYPE_CHECKING:
    from homeserver.services.appservices.appservice import Appservice
    from homeserver.services.appservices.registry import Appservices
    from homeserver.storage.database import Queries
    from homeserver.storage.devices import Device, DeviceRows
    from homeserver.storage.users import Users

MAX_USER_ID_CHARACTERS = 255
Seen = Callable[["Appservice"], None]
Role = tuple[str, str, str | None]
"""Application service, user, device."""


@dataclass(slots=True)
class Masquerades:
    """From the hash of a token to a requester, where an application service holds the token."""

    queries: Queries
    appservices: Appservices
    users: Users
    devices: DeviceRows
    capacity: int = 20_000
    on_seen: list[Seen] = field(default_factory=list)
    """Called with every request of an application service; synchronous, and quick."""
    _known: OrderedDict[Role, Requester] = field(default_factory=OrderedDict)
    _forgotten: int = 0

    def holder(self, token_hash: bytes) -> Appservice | None:
        """Whose token this is; None for tokens of people, and for those that nobody has."""
        return self.appservices.by_token(token_hash)

    async def requester(self, appservice: Appservice, user_id: str | None, device_id: str | None) -> Requester:
        """The requester. Raises Forbidden for users that are not its own or do not exist, UnknownDevice."""
        for seen in self.on_seen:
            seen(appservice)
        role = (appservice.id, user_id or appservice.sender, device_id)
        known = self._known.get(role)
        if known is not None:
            self._known.move_to_end(role)
            return known
        forgotten = self._forgotten
        requester = await self._load(appservice, role)
        if forgotten == self._forgotten:
            self._known[role] = requester
            if len(self._known) > self.capacity:
                self._known.popitem(last=False)
        return requester

    async def _load(self, appservice: Appservice, role: Role) -> Requester:
        _, user_id, device_id = role
        if appservice not in self.appservices.of_user(user_id) or not is_storable(user_id, MAX_USER_ID_CHARACTERS):
            raise errors.Forbidden("This application service cannot speak for this user")
        user = await self.users.get(self.queries, user_id)
        if user is None or user.is_deactivated:
            raise errors.Forbidden("The application service has not registered this user")
        device = None if device_id is None else await self._device(user_id, device_id)
        return Requester(
            user_id=user_id,
            device_id=device_id,
            device_nid=0 if device is None else device.device_nid,
            token_id=0,
            is_guest=False,
            is_admin=user.is_admin,
            appservice_id=appservice.id,
            is_unlimited=appservice.is_unlimited(user_id),
        )

    async def _device(self, user_id: str, device_id: str) -> Device:
        """ "If the given device ID is not known to belong to the user, the server will return a 400 M_UNKNOWN_DEVICE" """
        device = None
        if is_storable(device_id, MAX_DEVICE_ID_CHARACTERS):
            device = await self.devices.get(self.queries, user_id, device_id)
        if device is None:
            raise errors.UnknownDevice
        return device

    def forget_user(self, user_id: str) -> None:
        """Something about this user or his devices changed."""
        self._forgotten += 1
        for role in [role for role in self._known if role[1] == user_id]:
            del self._known[role]

    async def devices_deleted(self, user_id: str, device_ids: Sequence[str]) -> None:
        """Hook of services/devices.py."""
        self.forget_user(user_id)

    async def user_deactivated(self, user_id: str, erase: bool) -> None:
        """Hook of services/accounts."""
        self.forget_user(user_id)

    def memory_usage(self) -> dict[str, int]:
        """Counts for the memory report."""
        return {"roles": len(self._known)}

"""Which member events a device has been sent already, so that lazy loading does not send them again.

Bounded and in memory only: "it is valid for the server to send redundant membership events".
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field

DeviceKey = tuple[str, str]
MAX_DEVICES = 10_000
MAX_MEMBERS_OF_DEVICE = 4_000
MAX_MEMBERS = 400_000


@dataclass(slots=True)
class SentMembers:
    """For one device: by room and user, the position of the sync that carried the member event."""

    rooms: OrderedDict[str, dict[str, int]] = field(default_factory=OrderedDict)
    count: int = 0

    def shrink(self) -> int:
        """Forget the room that was longest ago; returns how many members that were."""
        _, members = self.rooms.popitem(last=False)
        self.count -= len(members)
        return len(members)


class LazyMembers:
    """A member counts as known only to a sync that begins at or after the one that carried him: an answer that never
    arrived is asked for again with the old token, and then has everything again.
    """

    def __init__(self) -> None:
        self._devices: OrderedDict[DeviceKey, SentMembers] = OrderedDict()
        self._count = 0

    def unknown(self, device: DeviceKey, room_id: str, user_ids: Iterable[str], since: int) -> set[str]:
        """Those of the users whose member events a device that syncs from ``since`` does not have."""
        sent = self._devices.get(device)
        members = None if sent is None else sent.rooms.get(room_id)
        if members is None:
            return set(user_ids)
        return {user_id for user_id in user_ids if (at := members.get(user_id)) is None or at > since}

    def sent(self, device: DeviceKey, room_id: str, user_ids: Collection[str], position: int) -> None:
        """A sync up to ``position`` carries these members."""
        if not user_ids:
            return
        found = self._devices.get(device)
        if found is None:
            found = self._devices[device] = SentMembers()
        self._devices.move_to_end(device)
        members = found.rooms.setdefault(room_id, {})
        found.rooms.move_to_end(room_id)
        before = len(members)
        for user_id in user_ids:
            members.setdefault(user_id, position)
        found.count += len(members) - before
        self._count += len(members) - before
        self._bound(found)

    def begin_again(self, device: DeviceKey, room_id: str | None = None) -> None:
        """The device starts from nothing: in all rooms, or in one."""
        found = self._devices.get(device)
        if found is None:
            return
        if room_id is None:
            self._count -= self._devices.pop(device).count
            return
        members = found.rooms.pop(room_id, None)
        if members is not None:
            found.count -= len(members)
            self._count -= len(members)

    def _bound(self, sent: SentMembers) -> None:
        while sent.count > MAX_MEMBERS_OF_DEVICE:
            self._count -= sent.shrink()
        while self._devices and (len(self._devices) > MAX_DEVICES or self._count > MAX_MEMBERS):
            _, dropped = self._devices.popitem(last=False)
            self._count -= dropped.count

    def memory_usage(self) -> dict[str, int]:
        """Counts for the memory report."""
        return {"devices": len(self._devices), "members": self._count}

"""How many one-time keys a device has left, and which fallback keys are unused. Spec: "Extensions to /sync"."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from homeserver.services.sync.sources import KeyCounts
from homeserver.storage.one_time_keys import OneTimeKeys

if TYPE_CHECKING:
    from homeserver.services.announcer import Announcer
    from homeserver.storage.database import Queries

DeviceName = tuple[str, str]
CountsListener = Callable[[Sequence[DeviceName]], None]

# Clients take a missing count of this algorithm for "nothing is known", and upload no keys.
ALWAYS_COUNTED = "signed_curve25519"


@dataclass(slots=True)
class KeyCountCache:
    """The source `key_counts` of sync: bounded, the device that asked least recently goes first."""

    queries: Queries
    keys: OneTimeKeys
    announcer: Announcer
    capacity: int = 20_000
    on_changed: list[CountsListener] = field(default_factory=list)
    """Called after the commit; synchronous, and quick."""
    _known: OrderedDict[DeviceName, KeyCounts] = field(default_factory=OrderedDict)
    _loading: dict[DeviceName, object] = field(default_factory=dict)

    async def counts(self, user_id: str, device_id: str) -> KeyCounts:
        """The device's counts; one statement where they changed since it last asked."""
        device = (user_id, device_id)
        known = self._known.get(device)
        if known is not None:
            self._known.move_to_end(device)
            return known
        loading = self._loading[device] = object()
        try:
            counts, unused = await self.keys.counts(self.queries, user_id, device_id)
        finally:
            # A change meanwhile has taken the mark away: what was read may be older than it.
            is_newest = self._loading.get(device) is loading
            if is_newest:
                del self._loading[device]
        found = KeyCounts({ALWAYS_COUNTED: 0, **counts}, unused)
        if is_newest:
            self._known[device] = found
            while len(self._known) > self.capacity:
                self._known.popitem(last=False)
        return found

    def changed(self, devices: Iterable[DeviceName]) -> None:
        """Forget these devices' counts after a commit, and wake their syncs."""
        devices = list(devices)
        self.forget(devices)
        self.announcer.wake(users={user_id for user_id, _ in devices})
        for listener in self.on_changed:
            listener(devices)

    def forget(self, devices: Iterable[DeviceName]) -> None:
        """Ask the database again when they are asked for."""
        for device in devices:
            self._known.pop(device, None)
            self._loading.pop(device, None)

    async def tidy(self) -> None:
        """Housekeeping: keys that were uploaded for a device while it was being deleted."""
        await self.keys.forget_orphans(self.queries)

    async def devices_deleted(self, user_id: str, device_ids: Sequence[str]) -> None:
        """Hook of services/devices.py."""
        self.forget((user_id, device_id) for device_id in device_ids)

    def memory_usage(self) -> dict[str, int]:
        """Counts for the memory report."""
        return {"devices": len(self._known)}

"""Records changes of device lists and tells which of them a user has to hear of.

A client that hears "changed" asks /keys/query again ("Tracking the device list for a user").
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from homeserver.storage.device_lists import EVERYBODY, DeviceListChanges
from homeserver.storage.positions import StreamPosition
from homeserver.storage.recent import RecentChanges
from homeserver.storage.stream_starts import first_position

if TYPE_CHECKING:
    from homeserver.services.announcer import Announcer
    from homeserver.services.awake import AwakeUsers
    from homeserver.storage.database import Queries

ChangeListener = Callable[[str], None]


@dataclass(slots=True)
class DeviceListChange:
    """A change that may be committed at `position`. Call `record` inside the transaction that makes it.

    `observer`: the only user who can see the change, where it is not everybody who shares a room.
    """

    position: int
    user_ids: Sequence[str]
    changes: DeviceListChanges
    observer: str = EVERYBODY
    is_recorded: bool = False
    """Set by whoever writes the change in a statement of his own."""

    async def record(self, q: Queries) -> None:
        """Write the change of all its users, in one statement."""
        await self.changes.record(q, self.user_ids, self.position, self.observer)
        self.is_recorded = True


@dataclass(slots=True)
class DeviceLists:
    """The stream `device_lists`. Every change of keys in this process goes through `changing`."""

    queries: Queries
    changes: DeviceListChanges
    awake: AwakeUsers
    announcer: Announcer
    stream: StreamPosition = field(default_factory=lambda: StreamPosition("device_lists"))
    _recent: RecentChanges[tuple[str, str]] = field(default_factory=RecentChanges)
    _listeners: list[ChangeListener] = field(default_factory=list)

    async def load(self) -> None:
        """Begin at a position that no token of an earlier start has reached; once, before the first request."""
        position = await first_position(self.queries)
        self.stream.load(position)
        self._recent.load(position)

    def on_change(self, listener: ChangeListener) -> None:
        """Be called with each user whose keys changed, after the commit and before anybody is woken."""
        self._listeners.append(listener)

    @asynccontextmanager
    async def changing(self, *user_ids: str, observer: str = EVERYBODY) -> AsyncIterator[DeviceListChange]:
        """Reserve a position for a change of these users' keys; announce it when the block ends without an error.

        Nothing is announced where the block did not record the change: there was none after all.
        """
        async with self.stream.writing(recent=self._recent) as positions:
            change = DeviceListChange(positions[0], user_ids, self.changes, observer)
            yield change
            if not change.is_recorded:
                return
            for user_id in user_ids:
                self._recent.add(change.position, (user_id, change.observer))
        for user_id in user_ids:
            for listener in self._listeners:
                listener(user_id)
        await self._wake(user_ids, change.observer)

    async def _wake(self, user_ids: Sequence[str], observer: str) -> None:
        if observer != EVERYBODY:
            self.announcer.wake(users=[observer])
            return
        self.announcer.wake(users=user_ids, rooms=await self.awake.rooms_of(user_ids))

    async def announce(self, user_id: str) -> None:
        """Record a change that is already committed: a device came, went, or was given another name."""
        async with self.changing(user_id) as change:
            await change.record(self.queries)

    async def devices_deleted(self, user_id: str, device_ids: Sequence[str]) -> None:
        """Hook of services/devices.py; the keys went together with the devices."""
        await self.announce(user_id)

    async def device_made(self, user_id: str, device_id: str) -> None:
        """Hook of services/devices.py: the user's other devices, and people who talk to him, learn of it at once."""
        await self.announce(user_id)

    async def device_renamed(self, user_id: str, device_id: str) -> None:
        """Hook of services/devices.py: the name is part of what /keys/query answers."""
        await self.announce(user_id)

    async def changed(self, user_id: str, since: int, to: int | None = None) -> set[str]:
        """Users in whose keys something changed in `(since, to]` and whom this user may hear of, himself included.

        No statement where the changes are recent and of users whose rooms are in memory. Users who newly share a room
        are not changes of this stream: sync adds them from its membership changes.
        """
        to = self.stream.current if to is None else to
        if since >= to:
            return set()
        recent = self._recent.since(since, to)
        if recent is None:
            recent = await self.changes.changed_since(self.queries, since, to, user_id)
        # Whoever is the only observer made the change himself: it does not matter whether he shares a room.
        own = {changed for changed, observer in recent if observer == user_id}
        others = {changed for changed, observer in recent if observer == EVERYBODY} - own
        return own | (await self.awake.shared_among(user_id, others) if others else others)

    def memory_usage(self) -> dict[str, int]:
        """Counts for the memory report."""
        return {"recent": len(self._recent)}

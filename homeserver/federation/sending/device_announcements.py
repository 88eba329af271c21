"""Whose devices and keys have changed, and who came to servers that do not know his: from listeners to the sender."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING, Final

from homeserver.storage.device_changes import Newcomer, Numbers

if TYPE_CHECKING:
    from homeserver.federation.sending.device_updates import DeviceUpdates
    from homeserver.federation.sending.sender import Sender
    from homeserver.storage.database import Queries
    from homeserver.storage.device_changes import DeviceChangeRows
    from homeserver.storage.positions import StreamPosition

MAX_AT_ONCE: Final = 100
"""Users (all their keys are read) and newcomers for which one round of statements is made."""


@dataclass(slots=True)
class DeviceAnnouncements:
    """`changed` and `came` are synchronous; `tell` does what waits, the same few statements for one user and for a hundred.

    What could not be told, because the database was away, waits for the next time.
    """

    sender: Sender
    queries: Queries
    changes: DeviceChangeRows
    devices: DeviceUpdates
    lists: StreamPosition
    _changed: dict[str, None] = field(default_factory=dict)
    _newcomers: list[Newcomer] = field(default_factory=list)

    @property
    def waiting(self) -> int:
        """Users for whom there is something to be done."""
        return len(self._changed) + len(self._newcomers)

    def changed(self, user_ids: Iterable[str]) -> None:
        """Something about the devices or keys of these users of ours has changed, or may have."""
        self._changed.update(dict.fromkeys(user_ids))

    def came(self, newcomer: Newcomer) -> None:
        """One of our users has come into a room in which there are other servers."""
        self._newcomers.append(newcomer)

    async def tell(self) -> None:
        """Everything that waits: first newcomers, then changes."""
        while self._newcomers:
            newcomers = self._newcomers[:MAX_AT_ONCE]
            await self._introduce(newcomers)
            del self._newcomers[: len(newcomers)]
        while self._changed:
            await self._tell_changes(list(islice(self._changed, MAX_AT_ONCE)))
        # Whoever changed keys up to here has been put into the list before, and is not in it any more.
        self.sender.lists_passed(self.lists.current)

    async def _introduce(self, newcomers: Collection[Newcomer]) -> None:
        """Servers that shared no room with a user before get his devices. At most two statements.

        "When that user joins a room which contains servers which are not already receiving updates".
        """
        strangers = await self.changes.strangers(self.queries, newcomers)
        if strangers:
            self._want(await self.changes.renumber(self.queries, list(strangers)), strangers)

    async def _tell_changes(self, user_ids: Collection[str]) -> None:
        """At most four statements."""
        for user_id in user_ids:
            del self._changed[user_id]  # what changes from here on is looked at once more
        try:
            numbers = await self.devices.record(user_ids)
            if numbers:
                self._want(numbers, await self.changes.sharing_servers(self.queries, list(numbers)))
        except BaseException:
            self.changed(user_ids)
            raise

    def _want(self, numbers: Mapping[str, Numbers], servers: Mapping[str, Collection[str]]) -> None:
        """Users' changes have numbers among each other: a server has everything before the first of all."""
        if not numbers:
            return
        newest: dict[str, int] = {}
        for user_id, (_, last) in numbers.items():
            for name in servers.get(user_id, ()):
                newest[name] = max(last, newest.get(name, last))
        first = min(first for first, _ in numbers.values())
        self.sender.want_devices(newest, first, max(last for _, last in numbers.values()))

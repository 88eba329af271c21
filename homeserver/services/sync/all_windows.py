"""All rooms that an answer tells of, as windows that are not filled yet."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from homeserver.services.rooms.room_cache import RoomCache
from homeserver.services.sync import rooms_left
from homeserver.services.sync.changes import ChangesOfRooms
from homeserver.services.sync.device_list_changes import DeviceListChanges, Sharing
from homeserver.services.sync.ephemeral import Ephemeral, EphemeralEvents
from homeserver.services.sync.request import SyncRequest
from homeserver.services.sync.rooms_joined import incremental_windows, initial_windows
from homeserver.services.sync.rooms_left import LeftRooms
from homeserver.services.sync.snapshot import Snapshot
from homeserver.services.sync.window import Window
from homeserver.services.tokens import StreamToken
from homeserver.services.visibility import Visibility


class AllWindows(NamedTuple):
    """And what was found on the way: receipts and the like, and who came to share a room."""

    joined: list[Window]
    left: LeftRooms
    ephemeral: EphemeralEvents
    sharing: Sharing


@dataclass(frozen=True, slots=True)
class GatherWindows:
    """One verb."""

    cache: RoomCache
    visibility: Visibility
    changes: ChangesOfRooms
    ephemeral: Ephemeral
    device_lists: DeviceListChanges

    async def __call__(
        self,
        request: SyncRequest,
        since: StreamToken | None,
        snapshot: Snapshot,
        account_data: Mapping[str, Sequence[bytes]],
    ) -> AllWindows:
        """`account_data`: what changed in it, by room; that is worth a window too."""
        if since is None:
            return await self._initial(request, snapshot)
        user_id, wanted, rooms, now = request.user_id, request.filter.room, snapshot.rooms, snapshot.now
        changes = await self.changes.between(user_id, rooms, since.events, now.events)
        ephemeral = EphemeralEvents()
        if since.typing < now.typing or since.receipts < now.receipts or since.voice < now.voice:
            ephemeral = await self.ephemeral.changed(user_id, snapshot.sight, since, now, wanted.ephemeral)
        windows = incremental_windows(
            rooms, wanted, self.cache, changes, ephemeral.rooms | account_data.keys(), full_state=request.full_state
        )
        await self._add_ephemeral_of_new_rooms(request, snapshot, windows, ephemeral)
        left = rooms_left.newly_left(rooms, wanted, self.cache, changes)
        if request.full_state and wanted.include_leave:
            told = changes.own.keys()
            left.windows += await self._archived(request, snapshot, since.events, but=told)
        sharing = await self.device_lists.sharing(user_id, rooms, changes)
        return AllWindows(windows, left, ephemeral, sharing)

    async def _initial(self, request: SyncRequest, snapshot: Snapshot) -> AllWindows:
        wanted, now = request.filter.room, snapshot.now
        windows = initial_windows(snapshot.rooms.values(), wanted, self.cache, now.events)
        left = LeftRooms([], [])
        if wanted.include_leave:
            left.windows = await self._archived(request, snapshot, None)
        room_ids = [window.room_id for window in windows]
        ephemeral = await self.ephemeral.everything(request.user_id, room_ids, wanted.ephemeral, snapshot.sight)
        return AllWindows(windows, left, ephemeral, Sharing(set(), set(), set()))

    async def _archived(
        self, request: SyncRequest, snapshot: Snapshot, since: int | None, but: Collection[str] = ()
    ) -> list[Window]:
        rooms = [entry for room_id, entry in snapshot.rooms.items() if room_id not in but]
        return await rooms_left.archived(
            request.user_id, rooms, request.filter.room, self.cache, self.visibility, snapshot.now.events, since
        )

    async def _add_ephemeral_of_new_rooms(
        self, request: SyncRequest, snapshot: Snapshot, windows: Iterable[Window], ephemeral: EphemeralEvents
    ) -> None:
        new = [window.room_id for window in windows if window.newly_joined]
        if new:
            wanted = request.filter.room.ephemeral
            found = await self.ephemeral.everything(request.user_id, new, wanted, snapshot.sight)
            ephemeral.by_room.update(found.by_room)

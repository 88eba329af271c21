"""The extension of sliding sync that tells of profiles (MSC4262)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from homeserver.services.profiles.updates import ProfileUpdates
from homeserver.services.sliding_sync.request import RoomExtension
from homeserver.services.sliding_sync.scene import Scene

EXTENSION: Final = "org.matrix.msc4262.profiles"


@dataclass(frozen=True, slots=True)
class ProfilesWish:
    """`rooms`: whose members' profiles are told as they are, when a room is new. `fields` None: all of them."""

    rooms: RoomExtension
    fields: frozenset[str] | None


@dataclass(frozen=True, slots=True)
class ProfileExtension:
    """Everything of rooms that are new to the client, then changes of whoever shares a room. Not by lazy members."""

    updates: ProfileUpdates
    name: str = EXTENSION

    async def answer(self, scene: Scene, config: ProfilesWish) -> Mapping[str, Any] | None:
        """ "if the list of `fields` expands to cover a new field ID, those fields should be sent down": all are, then."""
        before: ProfilesWish | None = scene.before.others.get(self.name)
        if before is not None and not _covers(before.fields, config.fields):
            before = None
        new, _ = scene.rooms(config.rooms, None if before is None else before.rooms)
        rooms = scene.snapshot.rooms
        told = await self.updates.of_rooms([rooms[room_id].room_nid for room_id in new], config.fields)
        if before is not None and scene.since is not None:
            to = scene.snapshot.now.account_data
            told |= await self.updates.changed(scene.user_id, config.fields, scene.since.account_data, to)
        return {"users": {user_id: news.parted for user_id, news in told.items()}} if told else None


def _covers(known: frozenset[str] | None, wanted: frozenset[str] | None) -> bool:
    return known is None or (wanted is not None and wanted <= known)

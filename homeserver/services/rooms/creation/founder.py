"""Stores a new room: its id, its row, its first events, in one commit."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from homeserver.protocol.auth.rejection import AuthRejection
from homeserver.protocol.builder import EventDraft
from homeserver.protocol.errors import InvalidRoomState
from homeserver.protocol.room_versions import RoomVersion
from homeserver.services.clock import Clock
from homeserver.services.rooms.appender import AlsoOfRoom, Appender, Founding
from homeserver.storage.rooms import Rooms

if TYPE_CHECKING:
    from homeserver.storage.database import Database

# 18 letters, as room ids had before they were hashes: 102 bits.
_ID_CHARACTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_ID_LENGTH = 18


@dataclass(frozen=True, slots=True)
class RoomFounder:
    """One verb, for createRoom and for upgrades."""

    database: Database
    appender: Appender
    rooms: Rooms
    clock: Clock
    server_name: str

    async def __call__(
        self,
        version: RoomVersion,
        drafts: Sequence[EventDraft],
        also: AlsoOfRoom | None = None,
        room_id: str | None = None,
    ) -> str:
        """Make the room; returns its id. `room_id`: one of `new_room_id`, where it must be known before.

        Raises InvalidRoomState where one event does not allow the next, and what `also` raises.
        """
        founding = Founding(version, room_id or self.new_room_id(version), drafts, also)

        async def claim(room_id: str) -> int | None:
            return await self.rooms.create(self.database, room_id, version.version, self.clock.now_ms())

        try:
            room = await self.appender.found(founding, claim)
        except AuthRejection as error:
            raise InvalidRoomState(f"The room would be invalid: {error.message}") from error
        return room.room_id

    def check(self, version: RoomVersion, drafts: Sequence[EventDraft]) -> None:
        """Build the events and forget them. Raises what making the room would raise."""
        try:
            self.appender.build_founding(Founding(version, self.new_room_id(version), drafts))
        except AuthRejection as error:
            raise InvalidRoomState(f"The room would be invalid: {error.message}") from error

    def new_room_id(self, version: RoomVersion) -> str | None:
        """A random id; None where the id is the hash of the create event."""
        if version.room_id_is_create_event_id:
            return None
        return f"!{''.join(secrets.choice(_ID_CHARACTERS) for _ in range(_ID_LENGTH))}:{self.server_name}"

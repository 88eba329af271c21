"""The room in which the server tells one user something: found, or made."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final
from weakref import WeakValueDictionary

from homeserver.protocol.errors import NotFound
from homeserver.services.requester import on_behalf_of
from homeserver.services.rooms.creation.wishes import RoomWishes
from homeserver.services.rooms.live_room import LiveRoom
from homeserver.storage.notice_rooms import NoticeRoomRows

if TYPE_CHECKING:
    from homeserver.services.membership.invite import InviteUser
    from homeserver.services.rooms.creation.create_room import CreateRoom
    from homeserver.services.rooms.room_cache import RoomCache
    from homeserver.services.tags import RoomTags
    from homeserver.storage.database import Queries

TAG: Final = "m.server_notice"
# Nobody but the server speaks there, puts anybody out, or asks anybody in.
LEVELS: Final = {"users_default": -10, "events_default": 0, "invite": 100}


@dataclass(frozen=True, slots=True)
class NoticeRooms:
    """One verb. `speaker`: the user who speaks for the server."""

    queries: Queries
    rows: NoticeRoomRows
    cache: RoomCache
    create: CreateRoom
    invite: InviteUser
    tags: RoomTags
    speaker: str
    room_name: str
    _making: WeakValueDictionary[str, asyncio.Lock] = field(default_factory=WeakValueDictionary)

    async def of_user(self, user_id: str) -> str:
        """The user's room, with him in it or asked in."""
        lock = self._making.setdefault(user_id, asyncio.Lock())
        async with lock:
            room = await self._standing(user_id)
            if room is None:
                return await self._make(user_id)
            if room.membership(user_id) not in ("join", "invite"):
                await self._ask_in(room.room_id, user_id)
            return room.room_id

    async def _standing(self, user_id: str) -> LiveRoom | None:
        room_id = await self.rows.of_user(self.queries, user_id)
        if room_id is None:
            return None
        try:
            room = await self.cache.get(room_id)
        except NotFound:
            return None
        return room if room.membership(self.speaker) == "join" else None

    async def _make(self, user_id: str) -> str:
        """The tag before the invitation: whoever sees that knows what room it is."""
        speaker = on_behalf_of(self.speaker)
        wishes = RoomWishes(
            preset="private_chat",
            name=self.room_name,
            creation_content={"m.federate": False},
            power_level_override=LEVELS,
        )
        room_id = await self.create(speaker, wishes)
        await self.rows.set(self.queries, user_id, room_id)
        await self.tags.put(on_behalf_of(user_id), user_id, room_id, TAG, {})
        await self._ask_in(room_id, user_id)
        return room_id

    async def _ask_in(self, room_id: str, user_id: str) -> None:
        """Filters of invitations are not for the speaker's: services/account_data/invite_filters.py."""
        await self.invite(on_behalf_of(self.speaker), room_id, user_id)

"""A room that no longer lets guests in: those who are in it go ("Guest access", server behaviour)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from homeserver.services.membership.content import member_draft, membership_of
from homeserver.services.membership.join import lets_guests_in
from homeserver.services.rooms.appender import Appender, Plan
from homeserver.services.rooms.live_room import LiveRoom
from homeserver.services.rooms.room_cache import RoomCache
from homeserver.storage.memberships import Memberships

if TYPE_CHECKING:
    from homeserver.storage.database import Queries

# Events of one commit; a room with more guests takes several.
GUESTS_AT_ONCE = 200


@dataclass(frozen=True, slots=True)
class EvictGuests:
    """One verb."""

    queries: Queries
    cache: RoomCache
    appender: Appender
    memberships: Memberships

    async def __call__(self, room_id: str) -> None:
        """Set the membership of all local guests to `leave`, unless the room lets guests in."""
        room = await self.cache.get(room_id)
        if lets_guests_in(room):
            return
        guests = await self.memberships.guests_in_room(self.queries, room.room_nid)
        for start in range(0, len(guests), GUESTS_AT_ONCE):
            chunk = guests[start : start + GUESTS_AT_ONCE]
            await self.appender.commit(room_id, lambda room, chunk=chunk: _departures(room, chunk))  # type: ignore[misc]


def _departures(room: LiveRoom, guests: list[str]) -> Plan:
    leaving = [guest for guest in guests if membership_of(room, guest) == "join"]
    return Plan([member_draft(guest, guest, "leave") for guest in leaving])

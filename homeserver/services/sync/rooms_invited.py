"""Rooms the reader is invited to, or has knocked on: nothing but stripped state."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import orjson

from homeserver.services.rooms.room_cache import RoomCache
from homeserver.services.rooms.stored import to_timeline_event
from homeserver.services.rooms.stripped_state import SHOWN_TYPES, strip, stripped_state
from homeserver.storage.memberships import Membership
from homeserver.storage.stripped_states import StrippedStates
from homeserver.storage.sync_rooms import SyncRooms

if TYPE_CHECKING:
    from homeserver.storage.database import Queries

MEMBER = "m.room.member"


def waiting_outside(
    rooms: Iterable[Membership], membership: str, since: int | None, ignored: Collection[str]
) -> list[Membership]:
    """Invites (or knocks), or only those since the last sync. An ignored user's invites are not shown."""
    return [
        entry
        for entry in rooms
        if entry.membership == membership
        and (since is None or entry.position > since)
        and (membership != "invite" or entry.sender not in ignored)
    ]


@dataclass(frozen=True, slots=True)
class StrippedRooms:
    """One verb."""

    queries: Queries
    rooms: SyncRooms
    outside: StrippedStates
    cache: RoomCache

    async def read(self, user_id: str, entries: Sequence[Membership]) -> dict[str, list[orjson.Fragment]]:
        """Stripped state by room id; one statement for all rooms that are not in memory, one for those of other servers."""
        found: dict[str, list[orjson.Fragment]] = {}
        cold, outside = [], {}
        for entry in entries:
            if entry.outside:
                outside[entry.room_nid] = entry.room_id
                continue
            live = self.cache.peek(entry.room_id)
            if live is None:
                cold.append(entry)
            else:
                found[entry.room_id] = [orjson.Fragment(event) for event in stripped_state(live, user_id)]
        if cold:
            found |= await self._from_database(user_id, cold)
        if outside:
            states = await self.outside.of_user(self.queries, user_id, list(outside))
            found |= {
                room_id: [orjson.Fragment(orjson.dumps(event)) for event in orjson.loads(states.get(room_nid, b"[]"))]
                for room_nid, room_id in outside.items()
            }
        return found

    async def _from_database(self, user_id: str, entries: Sequence[Membership]) -> dict[str, list[orjson.Fragment]]:
        wanted = [
            (entry.room_nid, event_type, state_key, 2**62) for entry in entries for event_type, state_key in _keys(
                user_id, entry
            )
        ]  # fmt: skip
        room_ids = {entry.room_nid: entry.room_id for entry in entries}
        found: dict[str, list[orjson.Fragment]] = {room_id: [] for room_id in room_ids.values()}
        for row in await self.rooms.state_values_at(self.queries, wanted):
            room_id = room_ids[row[2]]
            found[room_id].append(orjson.Fragment(strip(to_timeline_event(row, room_id))))
        return found


def _keys(user_id: str, entry: Membership) -> list[tuple[str, str]]:
    members = {entry.sender: None, user_id: None}
    return [*((event_type, "") for event_type in SHOWN_TYPES), *((MEMBER, member) for member in members)]


def invite_json(state: Sequence[orjson.Fragment]) -> dict[str, Any]:
    """One room of `rooms.invite`."""
    return {"invite_state": {"events": state}}


def knock_json(state: Sequence[orjson.Fragment]) -> dict[str, Any]:
    """One room of `rooms.knock`."""
    return {"knock_state": {"events": state}}

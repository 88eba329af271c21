"""The list of rooms, and one room in detail."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from homeserver.protocol.errors import NotFound
from homeserver.services.administration.room_facts import (
    ALIAS,
    CREATE,
    DETAILED_TYPES,
    ENCRYPTION,
    GUEST_ACCESS,
    JOIN_RULES,
    LISTED_TYPES,
    NAME,
    VISIBILITY,
    RoomFacts,
)
from homeserver.storage.administered_rooms import AdministeredRooms

if TYPE_CHECKING:
    from homeserver.storage.database import Queries

LARGEST: Final = 10
SLICE: Final = 500
"""Events read before others get their turn: about a millisecond."""
NO_SUCH_ROOM: Final = "Room not found"


@dataclass(frozen=True, slots=True)
class RoomOrder:
    """What rooms are ordered by, and what has to be known for that. `falling`: the largest first."""

    key: Callable[[RoomFacts], Any]
    types: Sequence[str] = ()
    needs_members: bool = False
    needs_state_counts: bool = False
    needs_published: bool = False
    falling: bool = False


_MEMBERS = RoomOrder(lambda room: room.members.joined, needs_members=True, falling=True)
_NAME = RoomOrder(lambda room: None if room.name is None else room.name.lower(), (NAME,))

ORDERS: Final[Mapping[str, RoomOrder]] = {
    "name": _NAME,
    "alphabetical": _NAME,
    "joined_members": _MEMBERS,
    "size": _MEMBERS,
    "joined_local_members": RoomOrder(lambda room: room.members.local, needs_members=True, falling=True),
    "canonical_alias": RoomOrder(lambda room: room.canonical_alias, (ALIAS,)),
    "version": RoomOrder(lambda room: _version_key(room.room.version), falling=True),
    "creator": RoomOrder(lambda room: room.creator, (CREATE,)),
    "encryption": RoomOrder(lambda room: room.text(ENCRYPTION, "algorithm"), (ENCRYPTION,)),
    "federatable": RoomOrder(lambda room: room.is_federatable, (CREATE,)),
    "public": RoomOrder(lambda room: room.is_public, needs_published=True),
    "join_rules": RoomOrder(lambda room: room.join_rule, (JOIN_RULES,)),
    "guest_access": RoomOrder(lambda room: room.guest_access, (GUEST_ACCESS,)),
    "history_visibility": RoomOrder(lambda room: room.history_visibility, (VISIBILITY,)),
    "state_events": RoomOrder(lambda room: room.state_events, needs_state_counts=True, falling=True),
}
"""By the names that administrators use; two are old names."""


@dataclass(frozen=True, slots=True)
class RoomQuery:
    """What is asked for; None does not matter. `turned`: the other way round than usual for this order."""

    order: str
    turned: bool
    limit: int
    offset: int
    search_term: str | None = None
    is_public: bool | None = None
    is_empty: bool | None = None


@dataclass(frozen=True, slots=True)
class RoomDetails:
    """One room."""

    facts: RoomFacts
    local_devices: int
    is_forgotten: bool


@dataclass(frozen=True, slots=True)
class RoomAdministration:
    """A fixed number of statements, however many rooms there are."""

    queries: Queries
    rows: AdministeredRooms

    async def page(self, query: RoomQuery) -> tuple[list[RoomFacts], int]:
        """A page of the rooms that are asked for, and how many there are."""
        order = ORDERS[query.order]
        rooms = [RoomFacts(room) for room in await self.rows.known(self.queries)]
        await self._look_up(rooms, {*order.types, *((NAME, ALIAS) if query.search_term else ())})
        if order.needs_members or query.is_empty is not None:
            await self._count_members(rooms)
        if order.needs_state_counts:
            await self._count_state(rooms)
        if order.needs_published or query.is_public is not None:
            await self._look_into_directory(rooms)
        found = [room for room in rooms if _is_wanted(room, query)]
        page = _sorted(found, order, query.turned)[query.offset : query.offset + query.limit]
        return await self._complete(page, LISTED_TYPES), len(found)

    async def details(self, room_id: str) -> RoomDetails:
        """One room. Raises NotFound."""
        room = await self.rows.one(self.queries, room_id)
        if room is None:
            raise NotFound(NO_SUCH_ROOM)
        (facts,) = await self._complete([RoomFacts(room)], DETAILED_TYPES)
        devices = await self.rows.local_devices(self.queries, room.room_nid)
        return RoomDetails(facts, devices, await self.rows.is_forgotten(self.queries, room.room_nid))

    async def largest(self) -> list[tuple[str, int]]:
        """Rooms with the most in the database, and roughly how many bytes."""
        return await self.rows.sizes(self.queries, LARGEST)

    async def _complete(self, rooms: list[RoomFacts], types: Sequence[str]) -> list[RoomFacts]:
        await self._look_up(rooms, types)
        await self._count_members(rooms)
        await self._count_state(rooms)
        await self._look_into_directory(rooms)
        return rooms

    async def _look_up(self, rooms: Sequence[RoomFacts], types: Collection[str]) -> None:
        if not rooms or not types:
            return
        by_nid = {room.room.room_nid: room for room in rooms}
        for number, state in enumerate(await self.rows.state(self.queries, list(by_nid), list(types))):
            if number % SLICE == SLICE - 1:
                await asyncio.sleep(0)
            by_nid[state.room_nid].learn(state)

    async def _count_members(self, rooms: Sequence[RoomFacts]) -> None:
        counted = await self.rows.members(self.queries, _nids(rooms)) if rooms else {}
        for room in rooms:
            room.members = counted.get(room.room.room_nid, room.members)

    async def _count_state(self, rooms: Sequence[RoomFacts]) -> None:
        counted = await self.rows.state_counts(self.queries, _nids(rooms)) if rooms else {}
        for room in rooms:
            room.state_events = counted.get(room.room.room_nid, 0)

    async def _look_into_directory(self, rooms: Sequence[RoomFacts]) -> None:
        published = await self.rows.published(self.queries, _nids(rooms)) if rooms else set()
        for room in rooms:
            room.is_public = room.room.room_nid in published


def _nids(rooms: Sequence[RoomFacts]) -> list[int]:
    return [room.room.room_nid for room in rooms]


def _is_wanted(room: RoomFacts, query: RoomQuery) -> bool:
    if query.is_public is not None and room.is_public != query.is_public:
        return False
    if query.is_empty is not None and (room.members.joined == 0) != query.is_empty:
        return False
    return not query.search_term or room.has(query.search_term)


def _sorted(rooms: list[RoomFacts], order: RoomOrder, turned: bool) -> list[RoomFacts]:
    """Those that have no value come last, in the other direction first; equal ones by their id."""

    def key(room: RoomFacts) -> tuple[bool, Any]:
        value = order.key(room)
        return (value is None, value)

    by_id = sorted(rooms, key=lambda room: room.room.room_id)
    return sorted(by_id, key=key, reverse=order.falling != turned)


def _version_key(version: str) -> tuple[int, str]:
    return (int(version), "") if version.isascii() and version.isdigit() and len(version) < 10 else (0, version)
